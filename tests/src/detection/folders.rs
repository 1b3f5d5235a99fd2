//! Which tables are asked for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A folder and the tables in it that are asked for: subfolders with `train.csv` and `test.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Names of its subfolders.
    pub tables: Vec<String>,
}

fn is_table(path: &Path) -> bool {
    path.join("train.csv").is_file() && path.join("test.csv").is_file()
}

/// All tables in a folder, by name.
fn tables(folder: &Path) -> Result<Vec<String>> {
    let entries = folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if is_table(&entry.path()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// Each argument is a folder of tables, or a table with its path, which begin a new group, or else the name of a table in the folder before it.
/// Of a folder without names behind it, all tables are asked for.
///
/// # Errors
/// Names the folder that has no such table, or none at all.
pub fn folders(arguments: &[String]) -> Result<Vec<Folder>> {
    let mut groups: Vec<(PathBuf, Vec<String>, Vec<String>)> = Vec::new();
    for argument in arguments {
        if let Some((_, found, named)) = groups.last_mut()
            && found.contains(argument)
        {
            named.push(argument.clone());
            continue;
        }
        let path = PathBuf::from(argument);
        match groups.last() {
            _ if is_table(&path) => {
                let path = path.canonicalize().with_context(|| format!("{argument} cannot be found"))?;
                let (folder, name) = path.parent().zip(path.file_name()).context("the root is no table")?;
                groups.push((folder.to_owned(), tables(folder)?, vec![name.to_string_lossy().into_owned()]));
            }
            _ if path.is_dir() => {
                let found = tables(&path)?;
                ensure!(!found.is_empty(), "{} has no subfolder with train.csv and test.csv", path.display());
                groups.push((path, found, Vec::new()));
            }
            Some((folder, found, _)) => {
                bail!("{} has no table `{argument}`: it has {}", folder.display(), found.join(", "))
            }
            None => bail!("{argument} is no folder"),
        }
    }
    let chosen = |(path, found, named): (PathBuf, Vec<String>, Vec<String>)| Folder {
        path,
        tables: if named.is_empty() { found } else { named },
    };
    Ok(groups.into_iter().map(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_folder_before_them() {
        let place = tempfile::tempdir().unwrap();
        for table in ["one/a", "one/b", "one/c", "two/a"] {
            let table = place.path().join(table);
            std::fs::create_dir_all(&table).unwrap();
            ["train.csv", "test.csv"].iter().for_each(|file| std::fs::write(table.join(file), "").unwrap());
        }
        std::fs::create_dir(place.path().join("one/none")).unwrap();
        let path = |name: &str| place.path().join(name);
        let asked = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments
                .iter()
                .map(|name| match *name {
                    "one" | "two" | "one/none" | "two/a" => path(name).to_str().unwrap().to_owned(),
                    name => name.to_owned(),
                })
                .collect();
            folders(&arguments)
        };
        let folder = |name: &str, tables: &[&str]| Folder {
            path: path(name),
            tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        };
        assert_eq!(asked(&["one", "two"]).unwrap(), [folder("one", &["a", "b", "c"]), folder("two", &["a"])]);
        let found = asked(&["one", "c", "a", "one", "b"]).unwrap();
        assert_eq!(found, [folder("one", &["c", "a"]), folder("one", &["b"])]);
        let canonical = path("two").canonicalize().unwrap();
        let two = Folder { path: canonical, tables: vec!["a".to_owned()] };
        assert_eq!(asked(&["one", "b", "two/a"]).unwrap(), [folder("one", &["b"]), two]);
        let error = |arguments: &[&str]| asked(arguments).unwrap_err().to_string();
        assert!(error(&["two", "b"]).ends_with("has no table `b`: it has a"));
        assert!(error(&["one/none"]).ends_with("has no subfolder with train.csv and test.csv"));
        assert_eq!(error(&["nowhere"]), "nowhere is no folder");
    }
}
