//! `vae-train fit` of tables that do not fit into memory.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::training_table::{settle_names, tell_of, training_table};
use crate::{
    cli::{context::note, progress},
    config::Config,
    data::{
        dataset_in_blocks::check_that_blocks_do,
        footprint::{Footprint, available_memory},
        spooled_table::SpooledTable,
    },
    inspection::findings::of_clock,
    tables::{
        portions::Portions,
        recording::Label,
        several::{note_on_pieces_of, sizes_on_disk},
    },
    words::numbers::binary_size,
};

/// Bytes of the rows that are read at once.
const PORTION: usize = 1 << 23;
/// Bytes of those by which the number of rows is estimated.
const SAMPLE: usize = 1 << 22;
/// Files of fewer bytes than this share of the memory fit, whatever they hold.
const SMALL: f64 = 1.0 / 256.0;

/// Whether the windows of these data do not fit into the memory that is `given`, or else into half of what there is.
///
/// # Errors
/// If they do not fit into what is given and the configuration asks for what is done in memory only.
pub(super) fn is_too_large(data: &[PathBuf], config: &Config, given: Option<f64>) -> Result<bool> {
    let Some(memory) = given.or_else(|| available_memory().map(|bytes| 0.5 * bytes as f64)) else { return Ok(false) };
    // What comes through a pipe is read once, and nobody knows how much it is.
    let Some(sizes) = sizes_on_disk(data)? else { return Ok(false) };
    let (own, bytes) = (sizes.first().copied().unwrap_or(0), sizes.iter().sum::<u64>() as f64);
    let overlap = config.data.window as f64 / config.data.hop() as f64;
    if bytes * (1.0 + overlap) < SMALL * memory {
        return Ok(false);
    }
    let reading = config.reading()?;
    let mut portions = Portions::open(data, Label::of(config.data.label.as_deref(), &[""; 0]), &reading, SAMPLE)?;
    if portions.is_read_whole()? {
        ensure!(given.is_none() || bytes <= memory, read_whole(&data[0]));
        return Ok(false);
    }
    let Some(first) = portions.next(&mut |_, _| {})? else { return Ok(false) };
    let (Some(part), name) = (first.part, first.recording.table.path.display().to_string()) else { return Ok(false) };
    let rows = first.recording.table.rows() as f64 / part.max(f64::MIN_POSITIVE) * bytes / own.max(1) as f64;
    let needed = Footprint::of(&first.recording.table, config).bytes(rows);
    if needed <= memory {
        return Ok(false);
    }
    let sizes = format!("{name}: about {rows:.0} rows take about {} in memory", binary_size(needed));
    match check_that_blocks_do(config) {
        Ok(()) => {
            let is_default = if given.is_some() { "" } else { " (half of what there is; --memory says otherwise)" };
            note(&format!(
                "{sizes}, more than the {} they may{is_default}: they go through a scratch file",
                binary_size(memory)
            ));
            Ok(true)
        }
        Err(refusal) if given.is_some() => bail!("{sizes}, more than --memory: {refusal}"),
        Err(_) => {
            note(&format!(
                "{sizes}, more than half of what there is, and are read into it all the same, as the settings need that"
            ));
            Ok(false)
        }
    }
}

/// Why a file cannot be read in parts.
fn read_whole(path: &Path) -> String {
    format!(
        "{}: is of a kind that is read as a whole, or read so, as --group and --label-intervals need that, and does not fit into --memory: give \
         more, or save it as CSV or Parquet",
        path.display()
    )
}

/// Puts the rows of files into a scratch file on the disk that `out` is on, with the settings that the data tell; `label` is the column that was
/// asked for.
///
/// # Errors
/// If a file cannot be read, or is of a kind that is read as a whole; if there is no room.
pub(super) fn spool(data: &[PathBuf], label: Label<'_>, config: &mut Config, out: &Path) -> Result<SpooledTable> {
    let reading = config.reading()?;
    let mut portions = Portions::open(data, label, &reading, PORTION)?;
    ensure!(!portions.is_read_whole()?, read_whole(&data[0]));
    let mut watch = progress::reading(&data[0]);
    let head = portions.next(&mut watch)?.context("the files hold no rows")?.recording;
    head.check_shape()?;
    head.remarks(label).for_each(|message| note(&message));
    settle_names(&head, config);
    let of_clock = head.clocks.first().map(of_clock).unwrap_or_default();
    ensure!(
        config.data.rate.is_none(),
        "--rate is for mel bands (--front-end mel:32x5) and for --auto: leave it out; calibrate takes one for rates of alarms"
    );
    let table = training_table(head, config)?;
    tell_of(&table, config, of_clock, true)?;
    let columns = table.columns.clone();
    let mut spooled = SpooledTable::create(&table, config, out, None)?;
    spooled.append(table, true)?;
    while let Some(portion) = portions.next(&mut watch)? {
        spooled.append(portion.recording.select(&columns)?.0, portion.begins)?;
    }
    let pieces = spooled.end();
    let name = portions.name(pieces);
    note_on_pieces_of(&name, pieces).iter().for_each(|message| note(message));
    Ok(spooled.named(name))
}
