//! Which columns a fitted model blames for rows in which a relation is broken.

use std::path::Path;

use vae_core::Scratch;
use vae_tests::{
    real_data,
    relations::{Deviation, Relation},
};
use vae_train::{file::model_file::AlignedFile, tables::table::Table};

use crate::workplace::Workplace;

/// An int8 model of a table by the default recipe.
fn fitted(place: &Workplace, train: &Path, more: &str) -> AlignedFile {
    place.succeed(&format!("fit {} --label label --out run {more}", train.display()));
    place.succeed("export run --out model.vae");
    AlignedFile::read(&place.path("model.vae")).unwrap()
}

/// The mean nats that each feature costs over rows.
fn blamed<'r>(file: &AlignedFile, rows: impl Iterator<Item = &'r [f32]>) -> Vec<f64> {
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let (mut sums, mut count) = (vec![0.0; model.features()], 0);
    for row in rows {
        let mut each = |feature: usize, nats: f32| sums[feature] += f64::from(nats);
        model.attribute(row, &mut Scratch::new(&mut memory), &mut each).unwrap();
        count += 1;
    }
    sums.iter().map(|sum| sum / f64::from(count)).collect()
}

/// Features by the nats that they cost, the dearest first.
fn order(costs: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]));
    order
}

/// Faults of the Tennessee Eastman process, and the features that cost most of the rows with each, by J. J. Downs and E. F. Vogel (1993), *A
/// plant-wide industrial process control problem*: 41 measurements `XMEAS` and, from `f41` on, 11 valves `XMV`.
const FAULTS: [(usize, &[usize], &str); 9] = [
    (1, &[0, 43], "feed ratio of A and C: the flow of A and its valve"),
    (2, &[9, 46], "inert B: the purge and its valve"),
    (4, &[50, 8], "the reactor's cooling water: its valve, and the temperature that it keeps"),
    (5, &[51, 16], "the condenser's cooling water: its valve, and the stripper's underflow"),
    (7, &[44], "pressure of C: the valve of its feed"),
    (10, &[17], "temperature of C: that of the stripper"),
    (11, &[50, 8], "the reactor's cooling water"),
    (14, &[20, 8, 50], "the reactor's cooling valve sticks: temperatures of the water and the reactor, the valve"),
    (19, &[45], "not published: the compressor's recycle valve"),
];

#[test]
fn faults_of_a_process_are_blamed_on_what_they_are_about() {
    let Some(data) = real_data("tep") else { return };
    let place = Workplace::new();
    let file = fitted(&place, &data.join("train.csv"), "--split time");
    let test = Table::read(&data.join("test.csv"), Some("label")).unwrap();
    let rows: Vec<&[f32]> = test.values.chunks_exact(test.columns.len()).collect();
    for (fault, features, about) in FAULTS {
        let rows = rows.iter().skip(960 + 800 * (fault - 1)).take(800);
        let costs = blamed(&file, rows.copied());
        let mut first = order(&costs);
        first.truncate(features.len());
        assert!(features.iter().all(|feature| first.contains(feature)), "{fault}, {about}: {first:?} of {costs:.1?}");
    }
}

#[test]
fn what_does_not_follow_the_wind_is_blamed() {
    let (place, turbine) = (Workplace::new(), Relation::Turbine);
    let (train, _) = turbine.write(&place.path(""), 2000, 0).unwrap();
    let (file, normal) = (fitted(&place, &train, "--epochs 60"), turbine.rows(2000, 0));
    let blamed = |deviation| {
        let rows = turbine.anomalies(deviation, &normal, 1000, 7).into_iter();
        let rows: Vec<Vec<f32>> = rows.map(|row| row.into_iter().map(|x| x as f32).collect()).collect();
        let costs = blamed(&file, rows.iter().map(|row| &row[..]));
        order(&costs)
    };
    // Columns: wind, power, speed, and a temperature that follows nothing. What moved is blamed before the wind, which it no longer follows.
    assert_eq!(blamed(Deviation::Moved(1))[..2], [1, 0]);
    assert_eq!(blamed(Deviation::Moved(2))[..2], [2, 0]);
    // Wind without power is power without wind as well.
    let mut stopped = blamed(Deviation::Stopped);
    assert_eq!(stopped[3], 3);
    stopped[..2].sort_unstable();
    assert_eq!(stopped[..2], [0, 1]);
}
