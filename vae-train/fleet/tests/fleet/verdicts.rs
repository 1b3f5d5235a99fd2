//! The window function gives the device's own verdicts.

use std::path::Path;

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        compute::concat_batches,
        datatypes::{Float32Type, TimestampNanosecondType},
    },
    prelude::SessionContext,
};
use futures::TryStreamExt;
use vae_core::Verdict;
use vae_fleet::{
    engine::Resources,
    function::verdicts::{cause, channel, verdict},
    query,
};

use crate::{
    device::{motor_model, verdicts},
    motor::{CHANNELS, Condition, Individual},
    recording::{Recording, parquet},
};

pub fn session(jobs: usize) -> SessionContext {
    Resources { memory: 64 << 20, jobs, spill: None }.session().unwrap()
}

pub async fn result(context: &SessionContext, sql: &str) -> RecordBatch {
    let stream = query::run(context, sql).await.unwrap();
    let schema = stream.schema();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    concat_batches(&schema, &batches).unwrap()
}

/// `vae(…)` of the motor's model, by machine.
pub fn judged(path: &Path) -> String {
    let model = motor_model();
    format!(
        "SELECT machine, time, judged FROM (SELECT machine, time, vae('{}', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) AS judged \
         FROM '{}') WHERE judged IS NOT NULL ORDER BY machine, time",
        model.display(),
        path.display()
    )
}

/// Ten machines: well ones, faulty ones, one with a stuck sensor, some with gaps.
pub fn fleet() -> Vec<Recording> {
    let machine = |index: usize| {
        let second = if index.is_multiple_of(2) { Condition::Normal } else { Condition::FAULTS[index / 2] };
        let course = [(Condition::Normal, 1500), (second, 1500 + 100 * index), (Condition::Normal, 700)];
        let recording = Recording::of(&format!("{index:04}"), Individual::TYPICAL, index as u64, &course);
        if index % 3 == 1 { recording.without(1000..1000 + 10 * index) } else { recording }
    };
    (0..10).map(machine).collect()
}

/// Bits of a verdict, and its words.
pub type Said = (String, i64, Option<u32>, Option<u32>, String, Option<String>, Option<String>, bool);

pub fn by_device(fleet: &[Recording]) -> Vec<Said> {
    let mut said = Vec::new();
    for recording in fleet {
        for (row, judged, alarm) in verdicts(recording) {
            let assessment = judged.assessment();
            said.push((
                recording.machine.clone(),
                recording.times[row],
                assessment.map(|assessment| assessment.score.to_bits()),
                assessment.map(|assessment| assessment.p_value.to_bits()),
                verdict(&judged).to_owned(),
                channel(&judged).map(|channel| CHANNELS[channel].to_owned()),
                cause(&judged).map(str::to_owned),
                alarm,
            ));
        }
    }
    said
}

pub fn by_query(result: &RecordBatch) -> Vec<Said> {
    let machines =
        datafusion::arrow::compute::cast(result.column(0), &datafusion::arrow::datatypes::DataType::Utf8).unwrap();
    let machines = machines.as_string::<i32>();
    let times = result.column(1).as_primitive::<TimestampNanosecondType>();
    let judged = result.column(2).as_struct();
    let number = |index: usize, row: usize| {
        let column = judged.column(index).as_primitive::<Float32Type>();
        column.is_valid(row).then(|| column.value(row).to_bits())
    };
    let text = |index: usize, row: usize| {
        let column = judged.column(index).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    (0..result.num_rows())
        .map(|row| {
            (
                machines.value(row).to_owned(),
                times.value(row),
                number(0, row),
                number(1, row),
                text(2, row).unwrap(),
                text(3, row),
                text(4, row),
                judged.column(5).as_boolean().value(row),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_machines_in_folders_have_the_devices_bits() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet();
    for recording in &fleet {
        parquet(&folder.path().join(format!("machine={}/a.parquet", recording.machine)), &[recording.batch(false)]);
    }
    let expected = by_device(&fleet);
    for kind in ["normal", "anomalous", "sensor fault"] {
        assert!(expected.iter().any(|said| said.4 == kind), "the recordings have no window that is {kind}");
    }
    for jobs in [1, 3] {
        let sql = judged(&folder.path().join("**/*.parquet"));
        let found = by_query(&result(&session(jobs), &sql).await);
        assert_eq!(found.len(), expected.len());
        assert_eq!(found, expected, "{jobs} jobs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_in_one_file_in_no_order_have_the_devices_bits() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet();
    // Rows of all machines, one of each in turn, the later half first.
    let mut batches: Vec<RecordBatch> = fleet.iter().map(|recording| recording.batch(true)).collect();
    for batch in &mut batches {
        let half = batch.num_rows() / 2;
        let halves = [batch.slice(half, batch.num_rows() - half), batch.slice(0, half)];
        *batch = concat_batches(&batch.schema(), &halves).unwrap();
    }
    batches.reverse();
    let path = folder.path().join("all.parquet");
    parquet(&path, &batches);
    let found = by_query(&result(&session(2), &judged(&path)).await);
    assert_eq!(found, by_device(&fleet));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_a_declared_order_are_neither_sorted_nor_held() {
    let folder = tempfile::tempdir().unwrap();
    let recording = &fleet()[1];
    for part in 0..3 {
        let batch = recording.batch(true).slice(part * 1000, 1000);
        parquet(&folder.path().join(format!("{part}.parquet")), &[batch]);
    }
    let context = session(1);
    let table = format!(
        "CREATE EXTERNAL TABLE history STORED AS PARQUET WITH ORDER (machine, time) LOCATION '{}/'",
        folder.path().display()
    );
    let select = format!(
        "SELECT vae('{}', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) FROM history",
        motor_model().display()
    );
    let plan = result(&context, &format!("{table}; EXPLAIN {select}")).await;
    let plan = plan.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n");
    assert!(plan.contains("BoundedWindowAggExec") && !plan.contains("SortExec"), "{plan}");
    let unordered = format!("EXPLAIN {}", judged(&folder.path().join("*.parquet")));
    let plan = result(&context, &unordered).await;
    let plan = plan.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n");
    assert!(
        plan.contains("BoundedWindowAggExec") && plan.contains("SortExec"),
        "an order that is not declared: {plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_has_the_bits_that_it_was_written_from() {
    let folder = tempfile::tempdir().unwrap();
    let recording = &fleet()[3];
    recording.csv(&folder.path().join("a.csv"));
    recording.json(&folder.path().join("a.json"));
    let expected: Vec<Option<u32>> = verdicts(recording)
        .iter()
        .map(|(_, judged, _)| judged.assessment().map(|assessment| assessment.score.to_bits()))
        .collect();
    for name in ["a.csv", "a.json"] {
        let found = result(&session(1), &judged(&folder.path().join(name))).await;
        let scores = found.column(2).as_struct().column(0).as_primitive::<Float32Type>();
        let found: Vec<Option<u32>> = scores.iter().map(|score| score.map(f32::to_bits)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_rate_of_alarms_changes_verdicts_and_not_scores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let recording = Recording::of("a", Individual::TYPICAL, 5, &[(Condition::Normal, 20_000)]);
    parquet(&path, &[recording.batch(true)]);
    let model = motor_model();
    let select = |alarms: &str| {
        format!(
            "SELECT judged['score'] AS score, judged['alarm'] AS alarm FROM (SELECT time, vae('{}', {alarms}time, x, y, z) OVER (ORDER BY time) AS judged \
             FROM '{}') WHERE judged IS NOT NULL ORDER BY time",
            model.display(),
            path.display()
        )
    };
    let count = |batch: &RecordBatch| batch.column(1).as_boolean().true_count();
    let context = session(1);
    let [rare, frequent] =
        [result(&context, &select("'1/year', ")).await, result(&context, &select("'100000/hour', ")).await];
    assert_eq!(rare.column(0), frequent.column(0));
    assert!(count(&rare) < count(&frequent), "{} {}", count(&rare), count(&frequent));
    let verdict: Vec<Verdict> = verdicts(&recording).into_iter().map(|(_, verdict, _)| verdict).collect();
    assert_eq!(rare.num_rows(), verdict.len());
}
