//! From a simulated pump to a model file that finds a clogging filter, by the library alone: what `vae-train simulate`, `fit`, `calibrate`,
//! `export` and `score` do.
#![expect(clippy::disallowed_macros, clippy::print_stdout, reason = "an example prints what it finds")]

use anyhow::Result;
use burn::tensor::Device;
use vae_core::{Alarms, Detector, Scratch, Verdict, format::Precision};
use vae_train::{
    calibration::{Normal, Settings},
    config::Config,
    file::model_file::AlignedFile,
    run::{
        candidate::{Candidate, Doubts, Files, calibrate},
        export::RunModel,
        fit::fit,
        lock::Access,
    },
    simulator::pump::{COLUMNS, Pump},
    tables::table::Table,
    words::output::Existing,
};

/// So many seconds of a healthy pump's log.
fn log(seed: u64, seconds: usize) -> Table {
    let mut pump = Pump::new(seed);
    let values = (0..seconds).flat_map(|_| pump.row(0.0)).collect();
    Table {
        path: "pump".into(),
        columns: COLUMNS.map(str::to_owned).to_vec(),
        values,
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    }
}

pub(crate) fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (run, model) = (folder.path().join("run"), folder.path().join("pump.vae"));

    let mut config = Config::default();
    config.data.window = 16;
    config.model.hidden = Some(vec![32, 16]);
    config.training.epochs = Some(20);
    fit(log(2, 64_800), config, &run, Existing::Keep, &Device::flex(), &mut ())?;

    let alarms = Some(f64::from(Alarms::per_day(1.0).per_second()));
    let settings = Settings { alarms, sample_rate: Some(1.0), votes: (2, 3), ..Settings::default() };
    let normal = Normal { table: log(3, 200_000).into(), settings };
    calibrate(RunModel::open(&run, Access::Write)?, &normal, Precision::Int8, Doubts::Refuse, &mut ())?;
    Candidate::of(&run, Precision::Int8)?.write(Files::model(&model), Existing::Keep, &mut ())?;

    let file = AlignedFile::read(&model)?;
    let model = file.model()?;
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let (mut scratch, mut window) = (Scratch::new(&mut memory), heapless::Vec::<f32, 64>::new());
    let mut detector = Detector::new(model, &mut window, &mut state)?;
    let mut pump = Pump::new(4);
    let mut anomalous = |clogged| -> Result<usize> {
        let verdicts = (0..1600).map(|_| detector.push(&pump.row(clogged), &mut scratch));
        let is_anomalous = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Anomalous(_)));
        Ok(verdicts.collect::<Result<Vec<_>, _>>()?.iter().filter(|verdict| is_anomalous(verdict)).count())
    };
    let (clean, clogged) = (anomalous(0.0)?, anomalous(1.0)?);
    println!("windows with an alarm: {clean} of 200 with a clean filter, {clogged} of 200 with a clogged one");
    anyhow::ensure!(clean < clogged, "the clogging filter was not found");
    Ok(())
}
