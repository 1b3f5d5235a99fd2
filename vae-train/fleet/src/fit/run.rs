//! Fits a fleet: the base model on a sample of all machines, then machine after machine, as many at once as there are jobs.

use std::{
    collections::VecDeque,
    fs::File as Table,
    io::{BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, ensure};
use datafusion::{execution::context::SessionState, prelude::SessionContext};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    fit::{
        baseline::learn,
        census::{Member, Unread, census},
        directory::{Directory, Outcome, Settings, copy, file_name},
        extract::{MACHINE, TIME, begin, write_rows},
        split::{Part, join, split},
        summary::Summary,
        trainer::Trainer,
    },
    history::{
        files::find,
        scan::{Scan, Wanted, numeric_columns},
    },
    model::LoadedModel,
    words::output::{Csv, Existing, write_file},
};

/// Which part of the machines is done: the `index`th of `of`, from 1 on; of index 0, the base model alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1 on; 0 for the base model.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    fn has(self, place: usize) -> bool {
        self.index > 0 && place % self.of == self.index - 1
    }
}

/// What a step needs.
struct Plant<'p> {
    runtime: &'p Runtime,
    state: SessionState,
    wanted: Wanted,
    settings: &'p Settings,
    directory: Directory,
    trainer: &'p Trainer,
}

/// Fits a fleet into a folder; what is done there is not done again.
///
/// # Errors
/// If no file can be read, the base model cannot be fitted, or the folder is of other settings. A machine that cannot be fitted is a line in the
/// summary.
pub fn run(
    runtime: &Runtime,
    session: &SessionContext,
    (settings, out): (&mut Settings, &Path),
    trainer: &Trainer,
    (shard, jobs): (Shard, usize),
) -> Result<Summary> {
    let state = session.state();
    let files = runtime.block_on(find(session, &settings.history, &settings.by))?;
    let is_in_folders = files.iter().any(|file| file.machine.is_some());
    if settings.columns.is_empty() {
        let first = files.first().context("no files")?;
        settings.columns = runtime.block_on(numeric_columns(&state, first, &[&settings.by, &settings.time]))?;
    }
    let wanted = Wanted {
        by: (!is_in_folders).then(|| settings.by.clone()),
        time: settings.time.clone(),
        unit: settings.unit,
        columns: settings.columns.clone(),
    };
    let (mut scans, mut unread) = (Vec::new(), Vec::new());
    for file in files {
        match runtime.block_on(Scan::of(&state, &file, &wanted)) {
            Ok(scan) => scans.push(scan),
            Err(error) => unread.push(Unread { name: file.name(), reason: format!("{error:#}") }),
        }
    }
    let first = || unread.first().map_or(String::new(), |unread| format!("{}: {}", unread.name, unread.reason));
    ensure!(!scans.is_empty(), "none of the files can be used; {}", first());
    let (members, others) = runtime.block_on(census(&state, &wanted, scans))?;
    unread.extend(others);
    let directory = Directory::open(out, settings)?;
    let plant = Plant { runtime, state, wanted, settings, directory, trainer };
    if !settings.each {
        plant.base(&members, shard)?;
    }
    plant.machines(&members, shard, jobs)?;
    let summary = Summary::of(plant.directory.outcomes()?, unread, members.len());
    summary.write(&plant.directory.summary())?;
    Ok(summary)
}

impl Plant<'_> {
    /// The rows that a machine is trained on; the others calibrate.
    fn training(&self, member: &Member) -> u64 {
        (member.rows as f64 * self.settings.training_share) as u64
    }

    fn is_long_enough(&self, member: &Member) -> bool {
        member.rows >= self.settings.least
    }

    /// Fits the base model, if it is not there.
    fn base(&self, members: &[Member], shard: Shard) -> Result<()> {
        let base = self.directory.base();
        if base.is_dir() {
            return Ok(());
        }
        ensure!(
            shard.of == 1 || shard.index == 0,
            "{} has no base model yet, and only one job may fit it: run --shard 0/{} first, and then the others",
            base.display(),
            shard.of
        );
        let members: Vec<&Member> = members.iter().filter(|member| self.is_long_enough(member)).collect();
        ensure!(!members.is_empty(), "no machine has {} rows: give longer histories, or --least", self.settings.least);
        let workshop = self.directory.workshop()?;
        let (table, run) = (workshop.path().join("sample.csv"), workshop.path().join("run"));
        let each = (self.settings.sample / members.len() as u64).max(1);
        let parts = members.iter().enumerate().map(|(place, &member)| {
            let training = self.training(member);
            let room = training.saturating_sub(each);
            let start = seeded(self.settings.seed, place as u64, room + 1);
            Part {
                member,
                range: start..training.min(start + each),
                path: workshop.path().join(format!("{place}.csv")),
            }
        });
        let parts: Vec<Part<'_>> = parts.collect();
        if self.wanted.by.is_some() {
            split((self.runtime, &self.state), &self.wanted, &parts)?;
            join(&parts, &table)?;
        } else {
            self.write(&table, |out| {
                parts.iter().try_for_each(|part| self.rows(part.member, part.range.clone(), out))
            })?;
        }
        self.fit(&table, &run).context("the base model cannot be fitted")?;
        std::fs::rename(&run, &base).with_context(|| format!("cannot put the base model into {}", base.display()))
    }

    /// Does the machines of a shard that are not done.
    fn machines(&self, members: &[Member], shard: Shard, jobs: usize) -> Result<()> {
        let mut waiting = VecDeque::new();
        for (_, member) in members.iter().enumerate().filter(|(place, _)| shard.has(*place)) {
            if !self.directory.is_done(&member.name)? {
                waiting.push_back(member);
            }
        }
        let tables = self.tables(&waiting)?;
        let waiting = Mutex::new(waiting);
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || -> Result<()> {
            while let Some(member) = next() {
                let outcome = match self.machine(member, tables.as_ref().map(TempDir::path)) {
                    Ok(nats) => Outcome::Fitted { machine: member.name.clone(), rows: member.rows, nats },
                    Err(error) => Outcome::Failed { machine: member.name.clone(), reason: format!("{error:#}") },
                };
                self.directory.note(&outcome)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| anyhow::anyhow!("a thread that fits has failed: a defect of this program"))?
            })
        })
    }

    /// Where a column names the machines: tables of all of them, by one pass over the history. Folders are read one by one.
    fn tables(&self, members: &VecDeque<&Member>) -> Result<Option<TempDir>> {
        let members: Vec<&Member> = members.iter().copied().filter(|member| self.is_long_enough(member)).collect();
        if self.wanted.by.is_none() || members.is_empty() {
            return Ok(None);
        }
        let folder = self.directory.workshop()?;
        let parts = members.into_iter().flat_map(|member| self.parts(member, folder.path()));
        split((self.runtime, &self.state), &self.wanted, &parts.collect::<Vec<_>>())?;
        Ok(Some(folder))
    }

    /// What a machine is calibrated by, and what its own model is trained on before that.
    fn parts<'m>(&self, member: &'m Member, folder: &Path) -> Vec<Part<'m>> {
        let (training, name) = (self.training(member), file_name(&member.name));
        let part = |range, kind: &str| Part { member, range, path: folder.join(format!("{name}.{kind}.csv")) };
        let mut parts = vec![part(training..member.rows, "normal")];
        if self.settings.each {
            parts.push(part(0..training, "train"));
        }
        parts
    }

    /// Makes a machine's model, of the tables in a folder if it has them; returns the mean of its calibration's −scores.
    fn machine(&self, member: &Member, tables: Option<&Path>) -> Result<f32> {
        let Settings { least, alarms, seed, .. } = self.settings;
        ensure!(self.is_long_enough(member), "too few rows: {} of at least {least}", member.rows);
        let workshop = self.directory.workshop()?;
        let path = |name: &str| workshop.path().join(name);
        let (run, model) = (path("run"), path("model.vae"));
        let parts = self.parts(member, tables.unwrap_or(workshop.path()));
        if tables.is_none() {
            for part in &parts {
                self.write(&part.path, |out| self.rows(member, part.range.clone(), out))?;
            }
        }
        match &parts[..] {
            [_, train] => self.fit(&train.path, &run)?,
            _ => copy(&self.directory.base(), &run)?,
        }
        let mut arguments: Vec<PathBuf> = vec!["calibrate".into(), run.clone(), "--normal".into()];
        arguments.extend(parts.first().map(|part| part.path.clone()));
        arguments.extend(reading());
        arguments.extend(["--seed".into(), seed.to_string().into()]);
        if let Some(alarms) = alarms {
            arguments.extend(["--alarms".into(), alarms.into()]);
        }
        self.trainer.run(arguments)?;
        self.trainer.run(["export".into(), run, "--out".into(), model.clone()])?;
        // What is published has passed its self-test, and can judge.
        let loaded = Arc::new(LoadedModel::read(&model)?);
        let nats = loaded.model()?.calibration()?.location_and_scale().0;
        if let (Some(windows), Some(normal)) = (self.settings.baseline, parts.first()) {
            let snapshot = learn(&loaded, &normal.path, windows)?;
            let place = self.directory.baseline(&member.name);
            write_file(&place, Existing::Replace, |out| Ok(out.write_all(&snapshot)?))?;
        }
        let place = self.directory.model(&member.name);
        std::fs::rename(&model, &place).with_context(|| format!("cannot write {}", place.display()))?;
        for part in parts {
            // Those of all machines together are as much as half of the history.
            std::fs::remove_file(&part.path).with_context(|| format!("cannot remove {}", part.path.display()))?;
        }
        Ok(nats)
    }

    fn fit(&self, table: &Path, run: &Path) -> Result<()> {
        let mut arguments: Vec<PathBuf> = vec!["fit".into(), table.into(), "--out".into(), run.into()];
        arguments.extend(reading());
        arguments.extend(["--seed".into(), self.settings.seed.to_string().into()]);
        arguments.extend(self.settings.options.iter().map(PathBuf::from));
        self.trainer.run(arguments)
    }

    fn rows(&self, member: &Member, range: Range<u64>, out: &mut Csv<&mut dyn Write>) -> Result<()> {
        write_rows((self.runtime, &self.state), &self.wanted, member, range, out)
    }

    /// Writes a table into the workshop, which nobody else sees.
    fn write(&self, path: &Path, rows: impl FnOnce(&mut Csv<&mut dyn Write>) -> Result<()>) -> Result<()> {
        let context = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(Table::create_new(path).with_context(context)?);
        let mut out = begin(&self.wanted, &mut file as &mut dyn Write)?;
        rows(&mut out)?;
        out.flush().with_context(context)?;
        drop(out);
        file.flush().with_context(context)
    }
}

/// How `vae-train` is to read the tables that are written for it.
fn reading() -> [PathBuf; 6] {
    ["--group", MACHINE, "--time", TIME, "--time-unit", "s"].map(PathBuf::from)
}

/// A number below `below`, by a seed and a place.
///
/// # Source
/// S. Vigna, SplitMix64; the remainder's bias is below 2⁻³² for machines of fewer than 2³² rows.
fn seeded(seed: u64, place: u64, below: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_each_machine_once() {
        for place in 0..100 {
            let having = (1..=16).filter(|index| Shard { index: *index, of: 16 }.has(place)).count();
            assert_eq!(having, 1, "{place}");
            assert!(!Shard { index: 0, of: 16 }.has(place));
        }
    }

    #[test]
    fn the_generator_is_split_mix_64() {
        // The reference's first values for seed 1234567.
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|place| seeded(1_234_567, place, u64::MAX)), expected);
    }
}
