//! NPZ: several arrays of NumPy in a zip archive.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use crate::{
    tables::{
        npy::{Array, Header, names},
        recording::{Label, Recording},
        source::Source,
        table::LABEL,
    },
    words::{foreign::excerpt, messages::list},
};

/// Most arrays in a file: the header of each may be looked at.
const MOST_ARRAYS: usize = 4096;
/// Names of an array that holds labels, unless the user gives one.
const LABELS: [&str; 3] = [LABEL, "labels", "y"];

/// Reads an array of an NPZ file as a table, as NPY is read: the one that the source names, else the only one that is not a label. A
/// label is another array with a value for each row: the one of the name given, else, where that is `label`, also `labels` or `y`.
///
/// # Errors
/// Says what the file holds and what is accepted.
pub(crate) fn read_npz(source: Source, label: Label<'_>) -> Result<Recording> {
    let path = source.name.clone();
    let array = source.array.clone();
    let (file, bytes) = source.into_file()?;
    let read = || -> Result<(Array, Option<Vec<f32>>)> {
        let mut archive = Archive::open(file, bytes)?;
        let asked = if let Label::Column(name) = label { Some(name) } else { None };
        let chosen = archive.choose(array.as_deref(), asked)?;
        let table = archive.read(&chosen, &path)?;
        let Some(name) = label.name().and_then(|label| archive.labels(label, &chosen)) else {
            return Ok((table, None));
        };
        let labels = archive.read(&name, &path)?;
        let (rows, found) = (table.values.len() / table.columns, labels.values.len());
        ensure!(
            labels.columns == 1 && found == rows,
            "array `{name}` has {found} values for the {rows} rows of `{chosen}`: a label needs one a row"
        );
        Ok((table, Some(labels.values)))
    };
    let (Array { columns, values, origins, question }, labels) = read().with_context(|| path.display().to_string())?;
    let recording = match (labels, label.name()) {
        (Some(labels), Some(name)) => {
            Recording::of_labelled(&path, names(columns), names(columns), values, name, &labels)
        }
        _ => Recording::of_columns(&path, names(columns), values, label),
    };
    Ok(Recording { question, ..recording?.with_origins(&origins) })
}

/// The arrays of an NPZ file.
struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Their names, without `.npy`.
    names: Vec<String>,
    /// Bytes of the file.
    bytes: u64,
}

impl Archive {
    fn open(file: File, bytes: u64) -> Result<Self> {
        let zip = ZipArchive::new(BufReader::new(file)).context("the zip archive cannot be read")?;
        let names: Vec<String> = zip
            .file_names()
            .filter_map(|name| name.ok().and_then(|name| Some(name.strip_suffix(".npy")?.to_owned())))
            .collect();
        if names.is_empty() {
            let members = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
            let members: Vec<String> = members.take(MOST_ARRAYS).collect();
            bail!(
                "this zip archive holds no array of NumPy but {}: an NPZ file, as np.savez writes, is needed; unpack others (unzip), and give \
                 the file that holds the table",
                if members.is_empty() { "nothing".to_owned() } else { list(&members) }
            );
        }
        ensure!(
            names.len() <= MOST_ARRAYS,
            "it holds {} arrays: at most {MOST_ARRAYS} are looked through",
            names.len()
        );
        Ok(Self { zip, names, bytes })
    }

    /// The array that is the table.
    fn choose(&mut self, array: Option<&str>, label: Option<&str>) -> Result<String> {
        if let Some(array) = array {
            ensure!(
                self.names.iter().any(|name| name == array),
                "no array `{}`: there are {}",
                excerpt(array),
                list(&self.names)
            );
            return Ok(array.to_owned());
        }
        let is_data = |name: &&String| !LABELS.contains(&&***name) && label != Some(name);
        let mut tables: Vec<String> = self.names.iter().filter(is_data).cloned().collect();
        if tables.len() > 1 {
            tables.retain(|name| self.header(name).is_ok_and(|header| header.shape.len() == 2));
        }
        match &tables[..] {
            [only] => Ok(only.clone()),
            _ => {
                let names = self.names.clone();
                let shapes = names.iter().map(|name| match self.header(name) {
                    Ok(header) => format!("{name} {}", header.shape()),
                    Err(_) => name.clone(),
                });
                let shapes: Vec<String> = shapes.collect();
                bail!("it holds {}: say which is the table, as in data.npz:{}", list(&shapes), excerpt(&names[0]))
            }
        }
    }

    /// The array that holds the labels, by the name of a label.
    fn labels(&self, label: &str, chosen: &str) -> Option<String> {
        let has = |name: &str| name != chosen && self.names.iter().any(|known| known == name);
        let others = LABELS.into_iter().filter(|_| label == LABEL);
        std::iter::once(label).chain(others).find(|name| has(name)).map(str::to_owned)
    }

    fn header(&mut self, name: &str) -> Result<Header> {
        let mut file = self.zip.by_name(&format!("{name}.npy"))?;
        Header::read(&mut file).with_context(|| format!("array `{}`", excerpt(name)))
    }

    fn read(&mut self, name: &str, path: &Path) -> Result<Array> {
        let context = || format!("array `{}`", excerpt(name));
        let file = self.zip.by_name(&format!("{name}.npy")).with_context(context)?;
        Array::read(file, path, Some(self.bytes)).with_context(context)
    }
}
