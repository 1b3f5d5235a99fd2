//! The crates as houses: which file imports from which, found by reading the sources. A floor is a folder or file of `src`; a crate lists its
//! floors from the ground up, and a file may import from its own floor and from those below.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The floors of `vae-core`, from the ground up.
pub const FLOORS_OF_CORE: &[&str] = &[
    "kernel",
    "arithmetic",
    "format",
    "model",
    "network",
    "probability",
    "inference",
    "front_end",
    "calibration",
    "detector",
    "lib",
];

/// The floors of `vae-train`, from the ground up.
pub const FLOORS_OF_TRAINER: &[&str] = &[
    "words",
    "statistics",
    "weights",
    "tables",
    "simulator",
    "cpu",
    "model",
    "inspection",
    "config",
    "data",
    "training",
    "file",
    "scoring",
    "calibration",
    "run",
    "fitness",
    "report",
    "device_log",
    "recorder",
    "cli",
    "lib",
    "main",
];

/// A source file of a crate.
#[derive(Debug)]
pub struct File {
    /// Below `src`.
    pub path: PathBuf,
    /// Lines, tests included.
    pub lines: usize,
    /// Names and lines of its functions, without those of its tests.
    pub functions: Vec<(String, usize)>,
    /// As it is declared: `detector::running`, empty for the root.
    module: Vec<String>,
    /// Its source without comments, texts and tests.
    code: String,
}

/// A crate.
#[derive(Debug)]
pub struct House {
    /// Sorted by path.
    pub files: Vec<File>,
    /// From which to which.
    pub imports: BTreeSet<(usize, usize)>,
    /// Imports by a name that the crate's root gives on, from a file that is not the root.
    pub through_root: usize,
}

/// What a module's name means to those who import from it.
#[derive(Default)]
struct Module {
    file: Option<usize>,
    /// Names given on, and where they come from.
    given: BTreeMap<String, Vec<String>>,
    /// Modules of which everything is given on.
    globs: Vec<Vec<String>>,
}

impl House {
    /// Reads `src` of a crate.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(source: &Path) -> Result<Self> {
        let mut files = vec![];
        collect(source, source, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut modules: BTreeMap<Vec<String>, Module> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            modules.entry(file.module.clone()).or_default().file = Some(index);
            // Folders without a file of their own.
            for end in 0..file.module.len() {
                modules.entry(file.module[..end].to_vec()).or_default();
            }
        }
        for file in &files {
            for import in imports(file).into_iter().filter(|import| import.is_given_on) {
                let path = absolute(&file.module, &import.path, &modules);
                let module = modules.entry(file.module.clone()).or_default();
                match (path, import.name.as_str()) {
                    (Some(path), "*") => module.globs.push(path),
                    (Some(path), name) => {
                        module.given.insert(name.into(), path);
                    }
                    (None, _) => {}
                }
            }
        }
        let mut house = Self { imports: BTreeSet::new(), through_root: 0, files };
        for (index, file) in house.files.iter().enumerate() {
            for import in imports(file).into_iter().filter(|import| !import.is_given_on) {
                let Some(path) = absolute(&file.module, &import.path, &modules) else { continue };
                let root = modules.get(&vec![]);
                let is_through_root =
                    root.is_some_and(|root| path.first().is_some_and(|name| root.given.contains_key(name)));
                house.through_root += usize::from(is_through_root && !file.module.is_empty());
                if let Some(owner) = owner(&path, &modules, 0).filter(|owner| *owner != index) {
                    house.imports.insert((index, owner));
                }
            }
        }
        Ok(house)
    }

    /// Imports of a file from a higher floor, by the names of `floors` from the ground up.
    ///
    /// # Errors
    /// If a file stands on no floor.
    pub fn upward(&self, floors: &[&str]) -> Result<Vec<(&Path, &Path)>> {
        let mut floor_of = vec![];
        for file in &self.files {
            let name = file.module.first().map_or("lib", String::as_str);
            let floor = floors.iter().position(|floor| *floor == name);
            floor_of.push(floor.with_context(|| format!("{} stands on no floor: {floors:?}", file.path.display()))?);
        }
        let runs_up = self.imports.iter().filter(|(from, to)| floor_of[*from] < floor_of[*to]);
        Ok(runs_up.map(|(from, to)| (&*self.files[*from].path, &*self.files[*to].path)).collect())
    }

    /// Files that import each other, around any number of corners.
    pub fn circles(&self) -> Vec<Vec<&Path>> {
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|start| self.reached(start)).collect();
        let mut circles = vec![];
        let mut seen = BTreeSet::new();
        for (file, reach) in reached.iter().enumerate() {
            let circle: Vec<usize> = reach.iter().copied().filter(|other| reached[*other].contains(&file)).collect();
            if circle.len() > 1 && seen.insert(circle.clone()) {
                circles.push(circle.into_iter().map(|file| &*self.files[file].path).collect());
            }
        }
        circles
    }

    fn reached(&self, start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next = vec![start];
        while let Some(file) = next.pop() {
            let imported = self.imports.range((file, 0)..(file + 1, 0)).map(|(_, to)| *to);
            next.extend(imported.filter(|to| reached.insert(*to)));
        }
        reached
    }
}

fn collect(source: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(source, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(File::read(source, &path)?);
        }
    }
    Ok(())
}

impl File {
    fn read(source: &Path, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let path = path.strip_prefix(source)?.to_path_buf();
        let mut module: Vec<String> =
            path.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("lib" | "main" | "mod")) {
            module.pop();
        }
        ensure!(!text.contains('\t'), "{} is not formatted", path.display());
        let code = without_tests(&bare(&text));
        Ok(Self { lines: text.lines().count(), functions: functions(&code), module, code, path })
    }
}

/// The text with blanks for comments and for what stands in quotes, line by line as it was.
fn bare(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    let blank =
        |taken: &str| taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect::<String>();
    while let Some(first) = rest.chars().next() {
        let hashes = rest.strip_prefix('r').map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
        let is_word = bare.ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if !is_word && first == 'r' && rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            rest[2 + hashes..].find(&end).map_or(rest.len(), |at| 2 + hashes + at + end.len())
        } else if first == '"' {
            quoted(rest, '"').unwrap_or(rest.len())
        } else if first == '\'' {
            // A lifetime is no character.
            let is_lifetime = rest[1..].starts_with(|next: char| next.is_alphabetic() || next == '_')
                && rest.chars().nth(2) != Some('\'');
            if is_lifetime { 0 } else { quoted(rest, '\'').unwrap_or(0) }
        } else {
            0
        };
        let taken = &rest[..len.max(first.len_utf8())];
        bare.push_str(&if len > 0 { blank(taken) } else { taken.into() });
        rest = &rest[taken.len()..];
    }
    bare
}

/// Bytes up to the closing quote.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().skip(1).find_map(|(at, character)| {
        let closes = !is_escaped && character == quote;
        is_escaped = !is_escaped && character == '\\';
        closes.then_some(at + 1)
    })
}

/// Without modules that are for tests alone.
fn without_tests(code: &str) -> String {
    let mut kept = vec![];
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let indent = line.len() - line.trim_start().len();
            let closes =
                |line: &str| line.len() > indent && line[..indent].trim().is_empty() && line[indent..].starts_with('}');
            let mut first = true;
            for line in lines.by_ref() {
                if first && line.trim_end().ends_with(';') || closes(line) {
                    break;
                }
                first = first && line.trim_start().starts_with('#');
            }
            continue;
        }
        kept.push(line);
    }
    kept.join("\n")
}

/// Names and lines, as rustfmt lays them out.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut functions = vec![];
    for (start, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
        let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "unsafe", "async", "extern"];
        let Some(name) = words.get(at + 1) else { continue };
        if !words[..at].iter().all(|word| qualifiers.contains(word)) || line.trim_end().ends_with(';') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = lines[start..].iter().position(|line| {
            line.len() > indent && line[..indent].trim().is_empty() && line[indent..].starts_with('}')
        });
        let name: String = name.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        if line.trim_end().ends_with('}') {
            functions.push((name, 1));
        } else if let Some(end) = end {
            functions.push((name, end + 1));
        }
    }
    functions
}

/// A path as a file writes it.
struct Import {
    path: Vec<String>,
    /// By which name it is used, or `*`.
    name: String,
    /// `pub use`: for whoever imports from this file.
    is_given_on: bool,
}

/// All paths within the crate that a file names, in its imports or on their own.
fn imports(file: &File) -> Vec<Import> {
    let tokens = tokens(&file.code);
    let mut found = vec![];
    let mut at = 0;
    let mut in_use = false;
    while at < tokens.len() {
        let token = tokens[at].as_str();
        if token == "use" {
            let is_given_on = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            in_use = true;
            at += 1;
            at = tree(&tokens, at, &mut vec![], is_given_on, &mut found);
            continue;
        }
        in_use &= token != ";";
        // A macro's `$crate` is for other crates, which know the root alone.
        let is_start = at == 0 || !matches!(&*tokens[at - 1], "::" | "$");
        let is_path = tokens.get(at + 1).is_some_and(|next| next == "::");
        if is_start && is_path && !in_use && is_word(token) {
            at = tree(&tokens, at, &mut vec![], false, &mut found);
            continue;
        }
        at += 1;
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = vec![];
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
        let len = if is_letter(first) {
            rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..len].into());
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Follows a path and its branches; returns where it ends.
fn tree(tokens: &[String], mut at: usize, path: &mut Vec<String>, is_given_on: bool, found: &mut Vec<Import>) -> usize {
    let depth = path.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, path, is_given_on, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                at += 1;
                break;
            }
            Some("*") => {
                found.push(Import { path: path.clone(), name: "*".into(), is_given_on });
                at += 1;
                break;
            }
            Some(word) if is_word(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.into());
                }
                at += 1;
                if tokens.get(at).is_some_and(|token| token == "::")
                    && tokens.get(at + 1).is_some_and(|next| next != "<")
                {
                    at += 1;
                    continue;
                }
                let mut name = path.last().cloned().unwrap_or_default();
                if tokens.get(at).is_some_and(|token| token == "as") {
                    name = tokens.get(at + 1).cloned().unwrap_or_default();
                    at += 2;
                }
                found.push(Import { path: path.clone(), name, is_given_on });
                break;
            }
            _ => {
                at += 1;
                break;
            }
        }
    }
    path.truncate(depth);
    at
}

/// The path from the crate's root, if it is one within the crate.
fn absolute(module: &[String], path: &[String], modules: &BTreeMap<Vec<String>, Module>) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        child => {
            base.push(child.into());
            if !modules.contains_key(&base) {
                return None;
            }
            rest = &path[1..];
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The file that something belongs to.
fn owner(path: &[String], modules: &BTreeMap<Vec<String>, Module>, depth: usize) -> Option<usize> {
    let known = (0..=path.len()).rev().find(|end| modules.contains_key(&path[..*end]))?;
    let module = &modules[&path[..known]];
    let given = path.get(known).and_then(|name| module.given.get(name));
    if let Some(given) = given.filter(|_| depth < 8) {
        return owner(&[given, &path[known + 1..]].concat(), modules, depth + 1);
    }
    if module.file.is_none() || path.len() > known {
        let through_glob = module.globs.iter().find_map(|glob| {
            let beyond = [glob, &path[known..]].concat();
            modules.contains_key(&beyond).then(|| owner(&beyond, modules, depth + 1)).flatten()
        });
        if through_glob.is_some() {
            return through_glob;
        }
    }
    module.file
}
