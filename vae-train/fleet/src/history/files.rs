//! Which files a history has, and which machine's each is.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use datafusion::{
    catalog::Session,
    common::GetExt,
    datasource::{
        file_format::{
            FileFormat, csv::CsvFormat, file_compression_type::FileCompressionType, json::JsonFormat,
            parquet::ParquetFormat,
        },
        listing::ListingTableUrl,
    },
    execution::object_store::ObjectStoreUrl,
    object_store::ObjectMeta,
    prelude::SessionContext,
};
use futures::TryStreamExt;

/// A file of a history.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it lies.
    pub store: ObjectStoreUrl,
    /// Its path there, its size.
    pub meta: ObjectMeta,
    /// How it is read.
    pub kind: Kind,
    /// How it is compressed as a whole, as `.csv.gz` is.
    pub packing: FileCompressionType,
    /// The machine that its folder names, as in `machine=0007/`.
    pub machine: Option<String>,
}

/// Formats of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Columns in row groups.
    Parquet,
    /// A header and rows.
    Csv,
    /// An object a line.
    Json,
}

impl Kind {
    /// By the ending of a file's name, and how it is compressed; Parquet has its compression inside.
    fn of(name: &str) -> Option<(Self, FileCompressionType)> {
        let name = name.to_ascii_lowercase();
        let packing = PACKINGS.into_iter().find(|packing| name.ends_with(&packing.get_ext()));
        let packing = packing.unwrap_or(FileCompressionType::UNCOMPRESSED);
        let kind = match name.strip_suffix(&packing.get_ext())?.rsplit_once('.')?.1 {
            "parquet" if !packing.is_compressed() => Self::Parquet,
            "csv" => Self::Csv,
            "json" | "ndjson" | "jsonl" => Self::Json,
            _ => return None,
        };
        Some((kind, packing))
    }
}

/// Compressions of whole files.
const PACKINGS: [FileCompressionType; 4] =
    [FileCompressionType::GZIP, FileCompressionType::BZIP2, FileCompressionType::XZ, FileCompressionType::ZSTD];

impl File {
    /// The engine's reader.
    #[must_use]
    pub fn format(&self) -> Arc<dyn FileFormat> {
        match self.kind {
            Kind::Parquet => Arc::new(ParquetFormat::default()),
            Kind::Csv => Arc::new(CsvFormat::default().with_has_header(true).with_file_compression_type(self.packing)),
            Kind::Json => Arc::new(JsonFormat::default().with_file_compression_type(self.packing)),
        }
    }

    /// Its path, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let location = self.meta.location.as_ref();
        match self.store.as_str() {
            "file:///" => format!("/{location}"),
            store => format!("{store}{location}"),
        }
    }
}

/// The files that patterns name (`'history/**/*.parquet'`, folders, addresses in object stores), by path; each with its machine where the folder
/// `{by}=…` names one.
///
/// # Errors
/// If there are none, or some lie in such folders and others do not.
pub async fn find(session: &SessionContext, patterns: &[String], by: &str) -> Result<Vec<File>> {
    let state = session.state();
    let mut files = Vec::new();
    for pattern in patterns {
        let found = of_pattern(&state, pattern, by).await.with_context(|| format!("cannot list {pattern}"))?;
        ensure!(!found.is_empty(), "{pattern} names no file that ends in .parquet, .csv, .json, .ndjson or .jsonl");
        let packed = found.iter().find(|file| file.packing.is_compressed());
        if let Some(packed) = packed.filter(|_| !cfg!(feature = "compression")) {
            bail!(
                "{} is compressed, and this vae-fleet was built without that: cargo install --path vae-train/fleet --locked --features compression",
                packed.name()
            );
        }
        files.extend(found);
    }
    files.sort_by(|a, b| (a.store.as_str(), &a.meta.location).cmp(&(b.store.as_str(), &b.meta.location)));
    files.dedup_by(|a, b| a.store == b.store && a.meta.location == b.meta.location);
    if let (Some(with), Some(without)) =
        (files.iter().find(|file| file.machine.is_some()), files.iter().find(|file| file.machine.is_none()))
    {
        bail!("{} lies in a folder {by}=… and {} does not: give one kind at a time", with.name(), without.name());
    }
    Ok(files)
}

async fn of_pattern(state: &dyn Session, pattern: &str, by: &str) -> Result<Vec<File>> {
    let url = listing(pattern)?;
    let store = state.runtime_env().object_store(&url)?;
    let listed = url.list_all_files(state, store.as_ref(), "").await?.try_collect::<Vec<_>>().await;
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) if error.to_string().contains("not found") => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let file = |meta: ObjectMeta| {
        let name = meta.location.filename()?;
        // What others leave in such folders: `_SUCCESS`, `.part-0.crc`.
        if name.starts_with(['.', '_']) || meta.size == 0 {
            return None;
        }
        let (kind, packing) = Kind::of(name)?;
        let machine =
            meta.location.parts().find_map(|part| Some(decoded(part.as_ref().strip_prefix(by)?.strip_prefix('=')?)));
        Some(File { store: url.object_store(), meta, kind, packing, machine })
    };
    Ok(listed.into_iter().filter_map(file).collect())
}

/// A pattern as the engine has it: of addresses it takes folders only.
fn listing(pattern: &str) -> Result<ListingTableUrl> {
    #[cfg(feature = "object-stores")]
    if let Some((scheme, rest)) = pattern.split_once("://")
        && let Some(first) = rest.find(['*', '['])
        && let Some(slash) = rest.get(..first).and_then(|plain| plain.rfind('/'))
    {
        let (plain, glob) = rest.split_at(slash + 1);
        let url = url::Url::parse(&format!("{scheme}://{plain}"))?;
        return Ok(ListingTableUrl::try_new(url, Some(glob::Pattern::new(glob)?))?);
    }
    Ok(ListingTableUrl::parse(pattern)?)
}

/// A folder's name without the escapes of what it may not hold.
fn decoded(name: &str) -> String {
    // Once as a part of an address, and once by whoever wrote the folders.
    let decode = |name: &str| percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    decode(&decode(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_names() {
        const PLAIN: FileCompressionType = FileCompressionType::UNCOMPRESSED;
        for (name, kind) in [
            ("a.parquet", Some((Kind::Parquet, PLAIN))),
            ("a.CSV", Some((Kind::Csv, PLAIN))),
            ("a.b.ndjson", Some((Kind::Json, PLAIN))),
            ("a.jsonl", Some((Kind::Json, PLAIN))),
            ("a.csv.gz", Some((Kind::Csv, FileCompressionType::GZIP))),
            ("a.ndjson.ZST", Some((Kind::Json, FileCompressionType::ZSTD))),
            ("a.parquet.gz", None),
            ("a.gz", None),
            ("README.md", None),
            ("csv", None),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
        assert_eq!(decoded("pump%252F7"), "pump/7");
    }
}
