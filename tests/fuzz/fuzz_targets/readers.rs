//! Any file given to what reads the trainer's tables.
//!
//! The readers' sources are compiled here by themselves: all of the trainer takes minutes to build under a sanitizer.
#![no_main]
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;

#[path = "../../../vae-train/src/tables/clock.rs"]
mod clock;
#[path = "../../../vae-train/src/words/foreign.rs"]
mod foreign;
#[path = "../../../vae-train/src/tables/format.rs"]
mod format;
#[path = "../../../vae-train/src/tables/idx.rs"]
mod idx;
#[path = "../../../vae-train/src/words/messages.rs"]
mod messages;
#[path = "../../../vae-train/src/tables/npy.rs"]
mod npy;
#[path = "../../../vae-train/src/tables/open.rs"]
mod open;
#[path = "../../../vae-train/src/tables/table.rs"]
mod table;
#[path = "../../../vae-train/src/tables/wav.rs"]
mod wav;

/// Where the sources look for each other.
mod words {
    pub(crate) use crate::{foreign, messages};
}

mod tables {
    pub(crate) use crate::{clock, format, idx, npy, table, wav};
}

use table::Table;

/// Which reader takes a file depends on its name or on how it begins.
const EXTENSIONS: [&str; 8] = ["csv", "idx", "gz", "npy", "npz", "wav", "parquet", ""];

/// Files of this process, in memory where the system has such a folder.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let shared = PathBuf::from("/dev/shm");
    let folder = if shared.is_dir() { shared } else { std::env::temp_dir() };
    folder.join(format!("vae-fuzz-{}", std::process::id()))
});

fuzz_target!(|data: &[u8]| {
    let Some(([kind, label], contents)) = data.split_first_chunk() else { return };
    let path = FOLDER.with_extension(EXTENSIONS[usize::from(*kind) % EXTENSIONS.len()]);
    fs::write(&path, contents).unwrap();
    let label = [None, Some("label"), Some("b")][usize::from(*label) % 3];
    let found = Table::read_watched(&path, label, |_, fraction| assert!(fraction >= 0.0));
    if let Ok(table) = &found {
        check(table, label);
        let names: Vec<&String> = table.columns.iter().rev().take(2).collect();
        let (chosen, left_out) = table.clone().select(&names).unwrap();
        assert_eq!((chosen.rows(), chosen.columns.len()), (table.rows(), names.len()));
        assert_eq!(left_out.len() + names.len(), table.columns.len());
        assert!(Table::has_column(&path, &table.columns[0]).is_ok());
    }
    match Table::read_leniently(&path, label, |_, _| {}) {
        Ok((table, bad)) => {
            check(&table, label);
            assert_eq!(found.is_ok(), bad.is_empty(), "{bad:?}");
        }
        Err(_) => assert!(found.is_err()),
    }
    let _ = Table::read_columns(&path, label, &["b"], |_, _| {});
    let _ = Table::sample_rate(&path);
    let _ = clock::Clock::of_file(&path, label);
    fs::remove_file(&path).unwrap();
});

fn check(table: &Table, label: Option<&str>) {
    assert!(!table.columns.is_empty() && !table.values.is_empty());
    assert_eq!(table.values.len(), table.rows() * table.columns.len());
    assert!(!table.values.iter().any(|value| value.is_infinite()));
    assert!(table.columns.iter().all(|name| !name.is_empty() && Some(name.as_str()) != label));
    if let Some(labels) = &table.labels {
        assert_eq!(labels.len(), table.rows());
    }
}
