//! Any file given to what reads the trainer's tables.
//!
//! The readers' sources are compiled here by themselves: all of the trainer takes minutes to build under a sanitizer.
#![no_main]
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;

#[path = "../../../vae-train/src/tables/array_shape.rs"]
mod array_shape;
#[path = "../../../vae-train/src/tables/blanks.rs"]
mod blanks;
#[path = "../../../vae-train/src/tables/calendar.rs"]
mod calendar;
#[path = "../../../vae-train/src/tables/categories.rs"]
mod categories;
#[path = "../../../vae-train/src/tables/category.rs"]
mod category;
#[path = "../../../vae-train/src/tables/clock.rs"]
mod clock;
#[path = "../../../vae-train/src/tables/csv.rs"]
mod csv;
#[path = "../../../vae-train/src/tables/csv_text.rs"]
mod csv_text;
#[path = "../../../vae-train/src/tables/dialect.rs"]
mod dialect;
#[path = "../../../vae-train/src/tables/encoding.rs"]
mod encoding;
#[path = "../../../vae-train/src/tables/fields.rs"]
mod fields;
#[path = "../../../vae-train/src/tables/fillers.rs"]
mod fillers;
#[path = "../../../vae-train/src/words/foreign.rs"]
mod foreign;
#[path = "../../../vae-train/src/tables/format.rs"]
mod format;
#[path = "../../../vae-train/src/tables/groups.rs"]
mod groups;
#[path = "../../../vae-train/src/tables/growth.rs"]
mod growth;
#[path = "../../../vae-train/src/tables/header.rs"]
mod header;
#[path = "../../../vae-train/src/tables/idx.rs"]
mod idx;
#[path = "../../../vae-train/src/tables/intervals.rs"]
mod intervals;
#[path = "../../../vae-train/src/tables/labels.rs"]
mod labels;
#[path = "../../../vae-train/src/tables/lines.rs"]
mod lines;
#[path = "../../../vae-train/src/words/messages.rs"]
mod messages;
#[path = "../../../vae-train/src/tables/npy.rs"]
mod npy;
#[path = "../../../vae-train/src/tables/npz.rs"]
mod npz;
#[path = "../../../vae-train/src/words/numbers.rs"]
mod numbers;
#[path = "../../../vae-train/src/tables/open.rs"]
mod open;
#[path = "../../../vae-train/src/tables/origin.rs"]
mod origin;
#[path = "../../../vae-train/src/tables/packed.rs"]
mod packed;
#[path = "../../../vae-train/src/tables/pcm.rs"]
mod pcm;
#[path = "../../../vae-train/src/statistics/pieces.rs"]
mod pieces;
#[path = "../../../vae-train/src/tables/reading.rs"]
mod reading;
#[path = "../../../vae-train/src/tables/recording.rs"]
mod recording;
#[path = "../../../vae-train/src/tables/riff.rs"]
mod riff;
#[path = "../../../vae-train/src/tables/roles.rs"]
mod roles;
#[path = "../../../vae-train/src/tables/rows.rs"]
mod rows;
#[path = "../../../vae-train/src/tables/source.rs"]
mod source;
#[path = "../../../vae-train/src/tables/steps.rs"]
mod steps;
#[path = "../../../vae-train/src/tables/table.rs"]
mod table;
#[path = "../../../vae-train/src/tables/texts.rs"]
mod texts;
#[path = "../../../vae-train/src/tables/time_unit.rs"]
mod time_unit;
#[path = "../../../vae-train/src/tables/times.rs"]
mod times;
#[path = "../../../vae-train/src/tables/unread.rs"]
mod unread;
#[path = "../../../vae-train/src/tables/wav.rs"]
mod wav;

/// Where the sources look for each other.
mod statistics {
    pub(crate) use crate::pieces;
}

mod words {
    pub(crate) use crate::{foreign, messages, numbers};
}

mod tables {
    pub(crate) use crate::{
        array_shape, blanks, calendar, categories, category, clock, csv, csv_text, dialect, encoding, fields, fillers,
        format, groups, growth, header, idx, intervals, labels, lines, npy, npz, origin, packed, pcm, reading,
        recording, riff, roles, rows, source, steps, table, texts, time_unit, times, unread, wav,
    };
}

use open::open;
use reading::Reading;
use recording::Label;
use table::{Table, refuse};

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
    let labels = [Label::None, Label::Column("label"), Label::Column("b")];
    let label = if *label < 200 { labels[usize::from(*label) % 3] } else { Label::Usual };
    if let Ok(recording) =
        open(&path, label, &Reading::default(), |_, part| assert!(part.is_some_and(|part| part >= 0.0)))
    {
        check(&recording.table, recording.label.as_deref());
        let rows = recording.table.rows();
        assert!(
            recording.table.starts.is_sorted() && recording.table.starts.iter().all(|start| (1..rows).contains(start))
        );
        assert!(
            recording.clocks.iter().all(|clock| clock.rate.is_none_or(|rate| rate > 0.0)),
            "{:?}",
            recording.clocks
        );
        let asks = recording.question.is_some();
        let (table, bad, recording_rows) = (recording.table.clone(), recording.not_numbers.clone(), rows);
        assert_eq!(recording.numbers().is_ok(), bad.is_empty() && !asks, "{bad:?}");
        assert_eq!(refuse(&path, recording_rows, &bad).is_ok(), bad.is_empty(), "{bad:?}");
        let names: Vec<&String> = table.columns.iter().rev().take(2).collect();
        let (chosen, left_out) = table.clone().select(&names).unwrap();
        assert_eq!((chosen.rows(), chosen.columns.len()), (table.rows(), names.len()));
        assert_eq!(left_out.len() + names.len(), table.columns.len());
    }
    fs::remove_file(&path).unwrap();
});

fn check(table: &Table, label: Option<&str>) {
    assert!(!table.columns.is_empty() && !table.values.is_empty());
    assert_eq!(table.values.len(), table.rows() * table.columns.len());
    assert!(!table.values.iter().any(|value| value.is_infinite()));
    assert!(table.origins.is_empty() || table.origins.len() == table.columns.len());
    assert!(table.origins.iter().all(|origin| origin.is_finite()));
    assert!(table.columns.iter().all(|name| !name.is_empty() && Some(name.as_str()) != label));
    if let Some(labels) = &table.labels {
        assert_eq!(labels.len(), table.rows());
    }
}
