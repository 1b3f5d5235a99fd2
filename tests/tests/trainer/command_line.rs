//! The command line as its users type it: the journey, its promises, and bad input.

use std::{fs, process::Command};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vae_core::{Alarms, Detector, Votes};
use vae_train::{file::model_file::AlignedFile, statistics::uniformity::Uniformity};

use crate::workplace::{self, BINARY, Workplace, files};

impl Workplace {
    /// Runs a command that must fail with exit code 1 and leave all files as they were; returns its message.
    fn refuse(&self, arguments: &str) -> String {
        let before = files(self.0.path());
        let message = self.fail(arguments);
        assert_eq!(files(self.0.path()), before, "{arguments} changed files");
        message
    }

    /// 400 normal rows of three dependent columns, and a test file with anomalies whose columns come in another order.
    fn with_tables() -> Self {
        let place = Self::new();
        let noise = |i: usize, k: usize| ((i * 7919 + k * 104_729) % 1000) as f64 / 1000.0 - 0.5;
        let (mut train, mut test) = (String::from("a,b,\"c, d\",label\n"), String::from("label,b,extra,\"c, d\",a\n"));
        for i in 0..400 {
            let t = noise(i, 1) * 4.0;
            train += &format!("{},{},\"{}\",0\n", t, 2.0 * t + 0.1 * noise(i, 2), 5.0 - t + 0.1 * noise(i, 3));
            let fault = if i % 4 == 0 { 1.5 } else { 0.0 };
            let b = 2.0 * t + 0.1 * noise(i, 4) + fault;
            test += &format!("{},{},7,{},{}\n", usize::from(fault > 0.0), b, 5.0 - t + 0.1 * noise(i, 5), t);
        }
        place.write("train.csv", train);
        place.write("test.csv", test);
        place
    }
}

const FIT: &str =
    "fit train.csv --label label --out run --epochs 60 --batch 16 --hidden 16 --latent 2 --learning-rate 0.01";

/// What `score` writes.
const SCORE_COLUMNS: &str =
    "row,elbo,reconstruction,kl,log_likelihood,p_value,anomaly,alarm,score,missing,elbo_sampled,verdict";

/// The numbers of a line of scores, and the verdict behind them.
fn numbers(line: &str) -> (Vec<f64>, &str) {
    // The verdict may be quoted: a channel's name may hold a comma.
    let fields: Vec<&str> = line.splitn(12, ',').collect();
    let (verdict, numbers) = fields.split_last().unwrap();
    (numbers.iter().map(|field| field.parse().unwrap()).collect(), verdict)
}

#[test]
fn fit_export_score_evaluate_info() {
    let place = Workplace::with_tables();
    assert!(place.succeed(FIT).contains("best epoch"));
    for name in
        ["config.toml", "metrics.csv", "standardiser.csv", "checkpoint.bin", "holdout.safetensors", "summary.json"]
    {
        assert!(place.path("run").join(name).exists(), "{name}");
    }
    place.succeed("export run --out model.vae");
    place.succeed("export run --out f32.vae --precision f32 --safetensors weights.safetensors");
    assert!(place.path("weights.safetensors").exists());

    place.succeed("score model.vae test.csv --out scores.csv --label label");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    let mut lines = scores.lines();
    assert_eq!(lines.next(), Some(SCORE_COLUMNS));
    let rows: Vec<Vec<f64>> = lines.map(|line| numbers(line).0).collect();
    assert_eq!(rows.len(), 400);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row[0], row.len()), (index as f64, 11));
        assert!(
            (row[1] - (row[2] - row[3])).abs() < 1e-4 * row[1].abs().max(1.0),
            "elbo = reconstruction − kl: {row:?}"
        );
        assert!((0.0..=1.0).contains(&row[5]) && (row[6] == 0.0 || row[6] == 1.0));
        assert!(row.iter().all(|value| value.is_finite()));
    }

    let int8 = place.json("evaluate model.vae test.csv --label label");
    let f32 = place.json("evaluate f32.vae test.csv --label label");
    // The anomalies break the columns' dependence: the network must see what the columns alone do not show.
    let auroc = int8["auroc"].as_f64().unwrap();
    assert!(auroc > 0.95 && int8["baseline_independent_gaussians"]["auroc"].as_f64().unwrap() < 0.8, "{int8}");
    assert!((auroc - f32["auroc"].as_f64().unwrap()).abs() < 0.01);
    for key in ["average_precision", "pauc", "best_f1", "false_alarm_rate", "detection_rate", "threshold"] {
        assert!(int8[key].is_number(), "{key}");
    }
    assert!(place.succeed("evaluate model.vae test.csv --label label").contains("AUROC"));

    let info = place.json("info model.vae");
    assert_eq!((info["features"].as_u64(), info["latent"].as_u64()), (Some(3), Some(2)));
    assert_eq!(info["channels"][2]["name"], "c, d");
    assert_eq!(info["flash"].as_u64().unwrap(), fs::metadata(place.path("model.vae")).unwrap().len());
    assert!(place.succeed("info model.vae").contains("Silu"));
}

#[test]
fn export_reports_what_int8_changes() {
    let place = Workplace::with_tables();
    place.succeed(FIT);
    let report = place.json("export run --out model.vae")["quantisation"].clone();
    assert_eq!(report["windows"], 80);
    let shapes: Vec<_> =
        report["layers"].as_array().unwrap().iter().map(|l| (&l["half"], &l["inputs"], &l["outputs"])).collect();
    assert_eq!(
        serde_json::json!(shapes),
        serde_json::json!([["encoder", 3, 16], ["encoder", 16, 4], ["decoder", 2, 16], ["decoder", 16, 3]])
    );
    for layer in report["layers"].as_array().unwrap() {
        let (weights, output) = (layer["weights"].as_f64().unwrap(), layer["output"].as_f64().unwrap());
        assert!(weights > 0.0 && weights < output && output < 0.02, "{layer}");
    }
    // The shift is that of the scores that the two models give.
    place.succeed("export run --out f32.vae --precision f32");
    let scores = |model: &str| -> Vec<f64> {
        place.succeed(&format!("score {model}.vae train.csv --label label --out {model}.csv"));
        let text = fs::read_to_string(place.path(&format!("{model}.csv"))).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(8).unwrap().parse().unwrap()).collect()
    };
    let magnitudes: Vec<f64> = scores("model").iter().zip(scores("f32")).map(|(a, b)| (a - b).abs()).collect();
    let (mean, largest) = (magnitudes.iter().sum::<f64>() / 400.0, magnitudes.iter().copied().fold(0.0, f64::max));
    let shift = &report["score_shift"];
    let found = |key: &str| shift[key].as_f64().unwrap();
    // The held-out windows are 80 of these 400.
    assert!(
        magnitudes.iter().any(|m| (m - found("largest")).abs() < 1e-4) && found("largest") <= largest + 1e-6,
        "{shift}, {largest}"
    );
    assert!(found("mean_magnitude") > 0.5 * mean && found("mean_magnitude") < 2.0 * mean, "{mean}: {shift}");
    assert!(place.json("export run --out again.vae --precision f32")["quantisation"].is_null());
    assert!(place.succeed("export run --out again.vae --force").contains("the verdict flips on "));
}

#[test]
fn export_refuses_an_int8_model_that_decides_otherwise() {
    let place = Workplace::with_tables();
    // A likelihood far sharper than int8 can resolve: a thousandth of a column's standard deviation.
    place.write("sharp.toml", "likelihood = \"gaussian-fixed\"\nvariance = 1e-6\nfalse_alarms = 0.1\n");
    place.succeed(&format!("{FIT} --config sharp.toml"));
    let message = place.refuse("export run --out model.vae --safetensors weights.safetensors");
    for part in ["int8 flips the verdict on ", " of 80 held-out windows", "--precision f32", "--force"] {
        assert!(message.contains(part), "{message}");
    }
    place.succeed("export run --out model.vae --precision f32");
    let f32 = fs::read(place.path("model.vae")).unwrap();
    assert!(place.refuse("export run --out model.vae").contains("model.vae exists"));
    assert!(fs::read(place.path("model.vae")).unwrap() == f32);
    let output = place.run("export run --out model.vae --force --json");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("written with --force, although int8 flips"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["quantisation"]["flipped"].as_u64().unwrap() > 2, "{report}");
    assert!(place.succeed("info model.vae").contains("Int8"));
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_does_not() {
    let place = Workplace::with_tables();
    for (run, seed) in [("one", 1), ("two", 1), ("three", 2)] {
        place.succeed(&FIT.replace("--out run", &format!("--out {run} --seed {seed}")));
        place.succeed(&format!("export {run} --out {run}.vae"));
    }
    let bytes = |run: &str| fs::read(place.path(run).with_extension("vae")).unwrap();
    assert!(bytes("one") == bytes("two"));
    assert!(bytes("one") != bytes("three"));
}

#[test]
fn a_configuration_file_is_read_and_kept() {
    let place = Workplace::with_tables();
    place.write(
        "vae.toml",
        "label = \"label\"\nepochs = 3\nbatch = 16\nhidden = [8]\nactivation = \"tanh\"\nlatent = 1\n",
    );
    let fitted = place.json("fit train.csv --out run --config vae.toml --latent 2");
    assert_eq!((fitted["epochs"].as_u64(), fitted["latent"].as_u64()), (Some(3), Some(2)));
    let kept = fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(kept.contains("activation = \"tanh\"") && kept.contains("latent = 2"), "{kept}");
    let tuned = place.json("fit train.csv --out tuned --config vae.toml --quantisation-aware 2");
    assert_eq!(tuned["epochs"].as_u64(), Some(5), "fine-tuning comes behind the epochs of the fit");
    place.write("bad.toml", "epoch = 3\n");
    assert!(place.refuse("fit train.csv --out other --config bad.toml").contains("unknown field `epoch`"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_fit_resumes_to_the_same_model() {
    let place = Workplace::with_tables();
    let long = FIT.replace("--epochs 60", "--epochs 150 --patience 150");
    place.succeed(&long.replace("--out run", "--out whole"));
    place.succeed("export whole --out whole.vae");

    let mut child = Command::new(BINARY)
        .args(long.split_whitespace())
        .current_dir(place.0.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !place.path("run/checkpoint.bin").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the fit ended before it was interrupted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("interrupted after epoch") && message.contains("--resume"), "{message}");

    place.succeed("export run --out early.vae"); // the last checkpoint is a whole one
    place.succeed("fit train.csv --out run --resume");
    place.succeed("export run --out resumed.vae");
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(bytes("resumed.vae") == bytes("whole.vae"), "a resumed fit differs from an uninterrupted one");
    assert!(bytes("resumed.vae") != bytes("early.vae"));
}

#[test]
fn streams_are_windowed_and_simulated_data_fit() {
    let place = Workplace::new();
    place.succeed("simulate motor --out data --seconds 4");
    let fitted = place.json("fit data/train.csv --out run --window 16 --hop 8 --epochs 20");
    assert_eq!(fitted["features"].as_u64(), Some(48));
    place.succeed("export run --out model.vae");
    place.succeed("score model.vae data/normal.csv --out scores.csv");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    // 1600 samples: windows end at rows 15, 23, …, 1599.
    assert!(scores.lines().nth(1).unwrap().starts_with("15,") && scores.lines().last().unwrap().starts_with("1599,"));
    let evaluation = place.json("evaluate model.vae data/test.csv --label label");
    // Four seconds are too little for a good model, but the network must already see more than the columns' spread.
    let baseline = evaluation["baseline_independent_gaussians"]["auroc"].as_f64().unwrap();
    assert!(evaluation["auroc"].as_f64().unwrap() > baseline + 0.1, "{evaluation}");
    let message = place.refuse("simulate motor --out data");
    assert!(message.contains("data/train.csv exists"), "{message}");
}

/// As a logger with a European locale writes it: semicolons, decimal commas, a column of times, one of names.
#[test]
fn a_loggers_file_is_taken_as_it_is() {
    let place = Workplace::new();
    let mut log = "Zeit;time;Druck (bar);Zustand\n".to_owned();
    for second in 0..600 {
        let comma = format!("{:.3}", 4.0 + f64::from(second * 7919 % 1000) / 1000.0).replace('.', ",");
        log += &format!("x;2026-03-09 10:{:02}:{:02};{comma};run\n", second / 60, second % 60);
    }
    place.write("log.csv", log);
    let next = "next: vae-train fit log.csv --ignore Zeit,Zustand ";
    assert!(place.succeed("inspect log.csv").contains(next));
    place.write("states.csv", "a,b,on\n1,5,0\n2,3,1\n3,4,0\n");
    assert!(place.succeed("inspect states.csv").contains("1 column(s) hold 0 and 1 only: `on`; if one of them marks"));
    assert!(place.refuse("fit log.csv --out runs/a").contains("leave the column out (--ignore Zeit)"));
    assert!(place.refuse("fit log.csv --ignore Zeiten --out runs/a").contains("no column `Zeiten` to ignore"));
    let output = place.run("fit log.csv --ignore Zeit,Zustand --out runs/a --epochs 2");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && message.contains("column `time` tells the time and is left out"), "{message}");
    let output = place.run("calibrate runs/a --normal log.csv --alarms 1/hour --force");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && message.contains("1.000000 rows a second, by column `time`"), "{message}");
    place.succeed("export runs/a --out model.vae");
    place.succeed("score model.vae log.csv --out scores.csv");
    assert_eq!(fs::read_to_string(place.path("scores.csv")).unwrap().lines().count(), 601);
    // Resumed, it is the same table.
    place.succeed("fit log.csv --out runs/a --resume");
}

/// Of numbers in one unit or another, of dates, or two of them: no clock is trained on, and the first tells the rate.
#[test]
fn clocks_of_all_kinds_tell_the_rate_and_are_left_out() {
    type Time = fn(usize) -> String;
    let second: Time = |i| format!("{},{i}", 1_773_050_400 + i);
    let half: Time = |i| format!("{}", 0.5 * i as f64);
    let date: Time = |i| format!("2026-03-09 {:02}:{:02}:{:02}.{:03}", 10, i / 6000, i / 100 % 60, 10 * (i % 100));
    let cases: [(&str, bool, Time, &str, f64); 4] = [
        ("timestamp,t", false, second, "column `timestamp` tells the time and is left out", 1.0),
        ("time", true, half, "column `time` tells", 2.0),
        ("Time (min)", false, |i| i.to_string(), "column `Time (min)` tells", 1.0 / 60.0),
        ("Time (ms)", false, date, "column `Time (ms)` tells", 100.0),
    ];
    for (clocks, decimal_commas, time, left_out, rate) in cases {
        let place = Workplace::new();
        let write = |name: &str, start: usize, label: bool| {
            let mut text = format!("{clocks},x,y{}\n", if label { ",label" } else { "" });
            for i in start..start + 800 {
                let x = (i * 7919 % 1000) as f64 / 1000.0 + 0.001;
                let fault = label && i % 4 == 0;
                let y = 2.0 * x + (i * 104_729 % 1000) as f64 / 10_000.0 + if fault { 1.0 } else { 0.0001 };
                text += &format!(
                    "{},{x},{y}{}\n",
                    time(i),
                    if label { format!(",{}", u8::from(fault)) } else { String::new() }
                );
            }
            place.write(name, if decimal_commas { text.replace(',', ";").replace('.', ",") } else { text });
        };
        write("train.csv", 0, false);
        write("normal.csv", 10_500, false);
        write("test.csv", 20_000, true);
        let found = place.json("inspect train.csv");
        let named: Vec<&str> = [&found["clock"]]
            .into_iter()
            .chain(found["other_clocks"].as_array().unwrap())
            .map(|clock| clock["column"].as_str().unwrap())
            .collect();
        assert_eq!(named.join(","), clocks);
        assert_eq!(found["columns"].as_array().unwrap().len(), 2, "{found}");
        let text = place.succeed("inspect train.csv");
        assert!(text.contains("next: vae-train fit train.csv") && !text.contains("--ignore"), "{text}");
        for clock in &named {
            assert!(text.contains(&format!("{clock}: a column of times, a row every")), "{text}");
        }

        let fit = "fit train.csv --out run --hidden 16 --latent 2 --epochs 30 --learning-rate 0.01 --json";
        let output = place.run(fit);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && message.contains(left_out), "{clocks}: {message}");
        let fitted: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(fitted["features"], 2, "{clocks}");
        let output = place.run("calibrate run --normal normal.csv");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = format!("no --rate: {rate:.6} rows a second, by column `{}`", named[0]);
        assert!(output.status.success() && message.contains(&said), "{said}: {message}");
        place.succeed("export run --out model.vae");
        let found = place.json("info model.vae")["sample_rate"].as_f64().unwrap();
        assert!((found / rate - 1.0).abs() < 1e-4, "{clocks}: {found}");

        // Of times that the model has never seen.
        place.succeed("score model.vae normal.csv --out scores.csv");
        let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
        let anomalies = scores.lines().skip(1).filter(|line| numbers(line).0[6] == 1.0).count();
        assert!(anomalies < 40, "{clocks}: {anomalies}");
        let auroc = place.json("evaluate model.vae test.csv")["auroc"].as_f64().unwrap();
        assert!(auroc > 0.9, "{clocks}: {auroc}");
        place.succeed("report run --data test.csv --out report.html");
    }
}

#[test]
fn inspect_says_what_is_wrong_with_a_table_and_which_window_it_asks_for() {
    let place = Workplace::new();
    place.succeed("simulate motor --out data --seconds 20");
    let found = place.json("inspect data/train.csv --rate 1600");
    // 20 to 45 turns a second at 1600 Hz.
    let period = found["suggestion"]["period"].as_u64().unwrap();
    assert!((36..=80).contains(&period) && found["suggestion"]["window"].as_u64().unwrap() >= 64, "{found}");
    assert_eq!((found["rows"].as_u64(), found["columns"][2]["name"].as_str()), (Some(32_000), Some("z")));
    let text = place.succeed("inspect data/train.csv --rate 1600");
    for part in
        ["32000 rows, 20 s at 1600 Hz", "deviation", "--hop 32 (40 ms): the strongest period is", "next: vae-train fit"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A fit without a window says so, and does the same.
    let output = place.run("fit data/train.csv --out run --epochs 1");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && message.contains("look like a time series (the strongest period is"),
        "{message}"
    );
    assert!(
        message.contains("--hop 32 would let the model see")
            && place.json("fit data/train.csv --out run --resume")["features"] == 3
    );

    // A date, words, a gap in the values, a stuck sensor, and copies.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let noise: Vec<[u32; 2]> = (0..600).map(|_| [(); 2].map(|()| rng.random_range(0..1_000_000))).collect();
    let rows: String = (0..600)
        .map(|i| {
            let stuck = if (100..160).contains(&i) { 100 } else { i };
            let (minute, second) = (i / 60 + usize::from(i >= 300), i % 60);
            let b = match i {
                7 => "off".to_owned(),
                20..30 => String::new(),
                _ => noise[i][1].to_string(),
            };
            let a = noise[stuck][0];
            format!("2024-05-01 12:{minute:02}:{second:02},{a},{b},{},red,{}\n", 2 * a, usize::from(i == 599))
        })
        .collect();
    place.write("mixed.csv", format!("time,a,b,twice,colour,label\n{rows}"));
    let found = place.json("inspect mixed.csv");
    let clock = &found["clock"];
    assert_eq!(
        (clock["rate"].as_f64(), clock["gaps"].as_u64(), clock["longest_gap_row"].as_u64()),
        (Some(1.0), Some(1), Some(300))
    );
    assert_eq!((found["anomalies"].as_u64(), found["suggestion"]["window"].as_u64()), (Some(1), Some(1)), "{found}");
    assert_eq!(found["columns"][0]["stuck"]["longest"]["first_row"], 101);
    assert_eq!(found["columns"][1]["longest_gap"], serde_json::json!({ "rows": 10, "first_row": 21, "value": null }));
    assert_eq!(found["correlated"][0]["columns"], serde_json::json!(["a", "twice"]));
    let text = place.succeed("inspect mixed.csv");
    for part in [
        "b: 1 field(s) are no numbers, first `off` in row 8; fit refuses them",
        "colour: 600 field(s) are no numbers, first `red` in row 1; fit refuses them: leave the column out (--ignore)",
        "time: a column of times, a row every 1 s",
        "1 gap(s), the longest 61 s after row 300",
        "a: stays the same for 60 rows from row 101 on",
        "a, twice: correlation 1.0000",
        "no --window: rows do not depend",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(place.refuse("fit mixed.csv --out new").contains("`red` is not a number"));
    place.write("days.csv", "day,colour\n2024-05-01,red\n2024-05-02,blue\n");
    assert!(place.refuse("inspect days.csv").contains("none of the columns `day`, `colour` holds measured numbers"));
    assert!(place.refuse("inspect mixed.csv --rate 0").contains("--rate 0: give the rows per second"));
    assert!(place.refuse("inspect none.csv").contains("cannot read none.csv"));
}

/// The score of each window of what `score` has written, and whether it is anomalous.
fn judged(text: &str) -> Vec<(f64, bool)> {
    let mut lines = text.lines();
    let header: Vec<_> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|title| *title == name).unwrap();
    let (score, anomaly) = (column("score"), column("anomaly"));
    let row = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        (fields[score].parse().unwrap(), fields[anomaly] == "1")
    };
    lines.map(row).collect()
}

#[test]
fn diff_says_what_changes_when_a_model_replaces_another() {
    let place = Workplace::with_tables();
    place.succeed(FIT);
    place.succeed("export run --out old.vae");
    place.succeed("export run --out f32.vae --precision f32");
    place.succeed(&format!(
        "{} --latent 1 --seed 5 --relations false",
        FIT.replace("--latent 2", "").replace("run", "other").replace("--epochs 60", "--epochs 2")
    ));
    place.succeed("export other --out poor.vae --force");

    let same = place.json("diff old.vae old.vae --data test.csv");
    assert_eq!(same["changes"], serde_json::json!([]));
    assert_eq!(
        (same["matters"].as_array().unwrap().len(), same["scores"]["rank_correlation"].as_f64()),
        (0, Some(1.0))
    );
    assert_eq!(same["scores"]["score_shift"]["largest"], 0.0);

    // The figures are those of the verbs that know one model.
    let found = place.json("diff old.vae poor.vae --data test.csv --label label");
    let scores = &found["scores"];
    let [old, poor] = ["old", "poor"].map(|model| place.json(&format!("evaluate {model}.vae test.csv --label label")));
    for (index, evaluation) in [&old, &poor].into_iter().enumerate() {
        for key in ["auroc", "false_alarm_rate", "detection_rate"] {
            assert_eq!(scores["labelled"][key][index], evaluation[key], "{key} {index}");
        }
    }
    let mut columns = ["old", "poor"].map(|model| {
        place.succeed(&format!("score {model}.vae test.csv --out {model}.csv"));
        let text = fs::read_to_string(place.path(&format!("{model}.csv"))).unwrap();
        judged(&text)
    });
    let pairs = || columns[0].iter().zip(&columns[1]);
    assert_eq!(scores["newly_anomalous"], pairs().filter(|(a, b)| !a.1 && b.1).count());
    assert_eq!(scores["no_longer_anomalous"], pairs().filter(|(a, b)| a.1 && !b.1).count());
    let mean = pairs().map(|(a, b)| b.0 - a.0).sum::<f64>() / 400.0;
    assert!((scores["score_shift"]["mean"].as_f64().unwrap() - mean).abs() < 1e-4, "{mean}: {found}");
    let matters = found["matters"].to_string();
    assert!(matters.contains("the verdict flips on") && matters.contains("the AUROC falls by"), "{matters}");

    let text = place.succeed("diff old.vae f32.vae");
    let flash = |name: &str| fs::metadata(place.path(name)).unwrap().len();
    let (old, f32) = (flash("old.vae"), flash("f32.vae"));
    for part in [
        "Int8 → F32".to_owned(),
        format!("{old} → {f32}"),
        format!("the new model needs {} bytes more of flash", f32 - old),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    let text = place.succeed("diff f32.vae old.vae --data test.csv --label label");
    assert!(text.contains("400 windows, scored by both models") && text.contains("no change that matters"), "{text}");

    // Each model sees the windows through its own front-ends, as many features or others.
    for front_end in ["statistics", "bands:6", "mean"] {
        let run = front_end.replace(':', "");
        let fit = FIT.replace("--out run", &format!("--out {run} --window 32 --hop 2 --front-end {front_end}"));
        place.succeed(&fit.replace("60", "2"));
        place.succeed(&format!("export {run} --out {run}.vae --force"));
    }
    for new in ["bands6", "mean"] {
        let found = place.json(&format!("diff statistics.vae {new}.vae --data test.csv --label label"));
        for (index, model) in ["statistics", new].into_iter().enumerate() {
            place.succeed(&format!("score {model}.vae test.csv --out {model}-{new}.csv"));
            let text = fs::read_to_string(place.path(&format!("{model}-{new}.csv"))).unwrap();
            columns[index] = judged(&text);
            assert_eq!(found["scores"]["windows"], columns[index].len());
        }
        let mean = columns[0].iter().zip(&columns[1]).map(|(a, b)| b.0 - a.0).sum::<f64>() / columns[0].len() as f64;
        let shift = found["scores"]["score_shift"]["mean"].as_f64().unwrap();
        assert!((shift / mean - 1.0).abs() < 1e-4, "{new}: {shift} {mean}");
    }

    place.write("two.csv", fs::read_to_string(place.path("train.csv")).unwrap().replacen("a,b", "a,x", 1));
    place.succeed(&FIT.replace("train.csv", "two.csv").replace("--out run", "--out two").replace("60", "2"));
    place.succeed("export two --out two.vae --force");
    place.succeed(&FIT.replace("--out run", "--out windows --window 4").replace("60", "2"));
    place.succeed("export windows --out windows.vae --force");
    assert!(
        place.refuse("diff old.vae two.vae").contains("channels differ: `a`, `b`, `c, d` in old.vae, `a`, `x`, `c, d`")
    );
    assert!(place.refuse("diff old.vae windows.vae").contains("windows of 1 samples and windows.vae windows of 4"));
    assert!(place.refuse("diff old.vae f32.vae --data two.csv").contains("lacks 1 of the model's 3 columns"));
    assert_eq!(place.run("diff old.vae").status.code(), Some(2), "wrong usage");
}

#[test]
fn bad_input_is_named_and_nothing_is_written() {
    let place = Workplace::with_tables();
    place.succeed(FIT);
    place.succeed("export run --out model.vae");
    place.write("ragged.csv", "a,b\n1,2\n3\n");
    place.write("text.csv", "a,b\n1,2\n3,red\n");
    place.write("headless.csv", "1,2\n3,4\n");
    place.write("short.csv", "a,b\n1,2\n3,4\n2,2\n");
    place.write("one.csv", "a,b\n1,2\n");
    place.write("header.csv", "a,b\n");
    place.write("same.csv", format!("a,b\n{}", "1,2\n".repeat(100)));
    place.write("categories.csv", "day,a,colour\n2024-05-01,1,red\n2024-05-02,2,blue\n");
    place.write("unlabelled.csv", "a,label\n1,0\n2,\n");
    place.write("words.csv", "a,label\n1,normal\n2,fault\n");
    place.write("largest.csv", format!("a,b\n{}", "1,3.4e38\n2,-3.4e38\n".repeat(10)));
    place.write("huge.csv", "a,b\n1,2\n1e39,2\n");
    let wide: Vec<String> = (0..50_000).map(|column| format!("c{column}")).collect();
    let rows: Vec<String> = (0..12).map(|row| vec![row.to_string(); 50_000].join(",")).collect();
    place.write("wide.csv", format!("{}\n{}\n", wide.join(","), rows.join("\n")));
    place.write("anomalies.csv", "a,label\n1,1\n2,1\n");
    place.write("other.csv", "a,x\n1,2\n");
    place.write("foreign.vae", "PK\u{3}\u{4} this is a zip file, it is long enough to hold a prelude");
    let model = fs::read(place.path("model.vae")).unwrap();
    fs::write(place.path("cut.vae"), &model[..model.len() / 2]).unwrap();
    let mut flipped = model.clone();
    flipped[model.len() / 2] ^= 4;
    fs::write(place.path("flipped.vae"), flipped).unwrap();

    let cases = [
        ("fit none.csv --out new", "none.csv"),
        ("fit ragged.csv --out new", "ragged.csv: row 2 (line 3) has 1 fields"),
        ("fit text.csv --out new", "text.csv: row 2 (line 3), column `b`: `red` is not a number"),
        ("fit headless.csv --out new", "add a header"),
        ("fit short.csv --out new", "3 normal row(s): a fit needs at least 10"),
        ("fit one.csv --out new", "1 normal row(s): a fit needs at least 10"),
        ("fit header.csv --out new", "has a header and no rows"),
        ("fit same.csv --out new", "every column is constant"),
        (
            "fit categories.csv --out new",
            "row 1 (line 2), column `day`: `2024-05-01` is not a number (nor are all fields of `colour`)",
        ),
        ("fit categories.csv --out new", "if these are categories, fit with --column"),
        ("fit unlabelled.csv --out new", "row 2 (line 3), column `label`: the label is `` where 0 (normal) or 1"),
        ("fit words.csv --out new", "the label is `normal` where 0 (normal) or 1 (anomaly) belongs"),
        ("fit huge.csv --out new", "row 2 (line 3), column `a`: `1e39` is beyond the range of 32-bit numbers"),
        ("fit largest.csv --out new", "standard deviation 3.4e38 in the normal windows"),
        (
            "fit wide.csv --out new --window 2",
            "50000 columns × 2 samples are 100000 values in a window; at most 65536 fit",
        ),
        ("fit train.csv --out new --label colour", "no column `colour`: its columns are `a`, `b`, `c, d`, `label`"),
        ("fit anomalies.csv --out new --label label", "every row is labelled 1"),
        ("fit train.csv --out new --label label --window 500", "longer than the data (400 rows)"),
        ("fit train.csv --out new --label label --likelihood bernoulli", "between 0 and 1"),
        ("fit train.csv --out new --latent 2 --epochs 0", "epochs is 0"),
        ("fit train.csv --out new --device abacus", "no device `abacus`"),
        ("fit train.csv --out run --label label", "--resume goes on with it, --force replaces it"),
        ("fit test.csv --out run --resume", "is not what the run in run was started with"),
        ("fit train.csv --out new --resume", "new holds no run"),
        ("export new --out x.vae", "new holds no run"),
        ("export run --out model.vae", "model.vae exists"),
        ("score model.vae other.csv --out s.csv", "lacks 2 of the model's 3 columns: `b`, `c, d`"),
        ("score cut.vae test.csv --out s.csv", "truncated"),
        ("score flipped.vae test.csv --out s.csv", "damaged"),
        ("score foreign.vae test.csv --out s.csv", "not a model file"),
        ("score none.vae test.csv --out s.csv", "cannot read none.vae"),
        ("score model.vae test.csv --out train.csv", "train.csv exists"),
        ("evaluate model.vae test.csv --label colour", "no column `colour`"),
        ("info foreign.vae", "not a model file"),
        ("demo --out run", "exists"),
    ];
    for (arguments, expected) in cases {
        let message = if arguments.starts_with("demo") {
            fs::create_dir_all(place.path("run")).unwrap();
            fs::write(place.path("run/motor.vae"), "mine").unwrap();
            place.refuse(arguments)
        } else {
            place.refuse(arguments)
        };
        assert!(message.contains(expected), "{arguments}: {message}");
    }
    assert_eq!(place.run("fit").status.code(), Some(2), "wrong usage");
    assert_eq!(place.run("polish train.csv").status.code(), Some(2), "wrong usage");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let place = Workplace::with_tables();
    place.succeed(FIT);
    place.succeed("export run --out model.vae");
    // A file-size limit stands for the full disk: writes beyond it fail in the same way.
    let limited = |arguments: &str| {
        let script = format!("ulimit -f 1; trap '' XFSZ; exec {BINARY} {arguments}");
        Command::new("bash").args(["-c", &script]).current_dir(place.0.path()).output().unwrap()
    };
    let before = files(place.0.path());
    for arguments in ["score model.vae test.csv --out scores.csv", "export run --out model.vae --force"] {
        let output = limited(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {message}");
        assert!(message.contains("cannot write") && message.contains("File too large"), "{message}");
        assert_eq!(files(place.0.path()), before, "{arguments} left something behind");
    }
}

/// A few seconds of a fit on `rows` of a table with these columns.
fn small_fit(place: &Workplace, columns: &str, rows: usize, row: impl Fn(usize) -> String) -> (String, Value) {
    let rows: String = (0..rows).map(|i| row(i) + "\n").collect();
    place.write("small.csv", format!("{columns}\n{rows}"));
    let output = place.run("fit small.csv --out small --force --epochs 5 --hidden 8 --json");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    place.succeed("export small --out small.vae --force");
    place.succeed("score small.vae small.csv --out small-scores.csv --force");
    let scores = fs::read_to_string(place.path("small-scores.csv")).unwrap();
    assert!(scores.lines().skip(1).all(|line| numbers(line).0.into_iter().all(f64::is_finite)), "{scores}");
    (message, serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn small_narrow_and_extreme_tables_are_fitted() {
    let place = Workplace::new();
    let (message, fitted) = small_fit(&place, "a,b", 50, |i| format!("{},{}", i % 17, i % 5));
    assert!(message.contains("40 training window(s) are less than a batch of 64: it is lowered to 10"), "{message}");
    assert_eq!((fitted["batch"].as_u64(), fitted["training_windows"].as_u64()), (Some(10), Some(40)));
    let (_, fitted) = small_fit(&place, "a", 10, |i| i.to_string());
    assert_eq!((fitted["batch"].as_u64(), fitted["features"].as_u64()), (Some(2), Some(1)));
    // Whole columns of such values, and a single one.
    small_fit(&place, "a,b", 200, |i| format!("{}e30,{}", (i * 7) % 13, i % 5));
    let (message, _) = small_fit(&place, "a,b", 200, |i| {
        format!("{},{}", if i == 20 { "1e30".to_owned() } else { (i * 37 % 101).to_string() }, i % 5)
    });
    assert!(message.contains("a single value outweighs all others in 1 column(s): `a, row 21: 1e30`"), "{message}");
    small_fit(&place, "a,b", 200, |i| format!("{}e-30,{}", (i * 7) % 13, i % 5));
    // To calibrate on such a value is said as well, and before what comes of it.
    small_fit(&place, "a,b", 4000, |i| format!("{},{}", (i * 7919) % 1000, (i * 104_729) % 1000));
    let normal = fs::read_to_string(place.path("small.csv")).unwrap();
    for (value, ending) in [("-9999999", ""), ("1e30", " --alarms 60/hour --rate 1")] {
        let mut rows: Vec<&str> = normal.lines().collect();
        let row = format!("1,{value}");
        rows[12] = &row;
        place.write("outlier.csv", rows.join("\n"));
        let output = place.run(&format!("calibrate small --normal outlier.csv{ending}"));
        let said = workplace::message(&output);
        let note = format!(
            "note: outlier.csv: a single value outweighs all others in 1 column(s): `b, row 12: {:e}`",
            value.parse::<f32>().unwrap()
        );
        assert!(said.contains(&note) && output.status.success() == ending.is_empty(), "{said}");
    }
}

#[test]
fn the_widest_models_stay_within_64_kib() {
    let place = Workplace::new();
    for columns in [300, 1100] {
        let header: Vec<String> = (0..columns).map(|column| format!("f{column}")).collect();
        let row =
            |r: usize| (0..columns).map(|c| ((r * 7919 + c * 31) % 101).to_string()).collect::<Vec<_>>().join(",");
        let rows: Vec<String> = (0..80).map(row).collect();
        place.write("wide.csv", format!("{}\n{}\n", header.join(","), rows.join("\n")));
        place.succeed("fit wide.csv --out wide --epochs 1 --force");
        let exported = place.json("export wide --out wide.vae --force");
        assert!(exported["flash"].as_u64().unwrap() <= 65_536, "{columns} columns: {exported}");
    }
}

#[test]
fn progress_goes_to_standard_error_in_a_pipe() {
    let place = Workplace::with_tables();
    let output = place.run(&format!("{FIT} --json"));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = message.lines().filter(|line| line.starts_with("epoch ")).collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    for part in ["epoch 1 of 60: ELBO ", "reconstruction ", "KL ", "validation ", "windows/s", " left"] {
        assert!(first.contains(part), "{part}: {message}");
    }
    assert!(last.starts_with("epoch 60 of 60: ") && lines.len() < 40, "{message}");
    let fitted: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fitted["active_units"], 1, "three columns that follow one number: {fitted}");
    assert!(!message.contains("collapsed"));
}

#[test]
fn a_fit_that_diverges_goes_on_at_a_lower_rate_and_says_so() {
    let place = Workplace::with_tables();
    let deep = "fit train.csv --label label --epochs 3 --batch 16 --hidden 32,32,32,32,32,32,32,32,32,32 --activation relu \
                --likelihood gaussian-fixed --learning-rate 0.9 --json --out";
    let [one, two] = ["one", "two"].map(|run| place.run(&format!("{deep} {run}")));
    let message = String::from_utf8_lossy(&one.stderr).into_owned();
    assert!(one.status.success(), "{message}");
    for part in [
        "training diverged in epoch 1, step 2",
        "of a batch of 16 is not finite, by 16 of its rows: ",
        "half the learning rate",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let fitted: Value = serde_json::from_slice(&one.stdout).unwrap();
    let divergences = fitted["divergences"].as_array().unwrap();
    assert!(!divergences.is_empty() && divergences[0]["rows"][0].as_u64().unwrap() <= 400);
    assert_eq!(fitted["learning_rate"].as_f64().unwrap(), 0.9 * 0.5f64.powi(divergences.len() as i32));
    assert_eq!(fitted["epochs"].as_u64(), Some(3));
    let metrics = |run: &str| fs::read(place.path(run).join("metrics.csv")).unwrap();
    assert!(two.status.success() && metrics("one") == metrics("two"));
}

#[test]
fn a_collapsed_posterior_is_reported_with_advice() {
    let place = Workplace::with_tables();
    let output = place.run(&format!("{FIT} --beta 1000 --json"));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("the posterior collapsed") && message.contains("--warm-up 20"), "{message}");
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["active_units"], 0);
}

#[test]
fn empty_columns_are_dropped_and_constant_ones_watched_with_a_note() {
    let place = Workplace::new();
    let rows: String = (0..200).map(|i| format!("{},5,,{}\n", i % 17, i % 5)).collect();
    place.write("train.csv", format!("a,fixed,empty,b\n{rows}"));
    let output = place.run("fit train.csv --out run --epochs 2 --batch 16 --json");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("1 empty column(s) left out: `empty`"), "{message}");
    assert!(message.contains("1 column(s) never vary in normal data") && message.contains("`fixed`"), "{message}");
    let fitted: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fitted["dropped_columns"], serde_json::json!(["empty"]));
    place.succeed("export run --out model.vae");
    // The file that was fitted can be scored as it is.
    place.succeed("score model.vae train.csv --out scores.csv");
    // A value that the constant column never had is an anomaly.
    place.write("test.csv", "a,fixed,empty,b\n3,5,,3\n3,6,,3\n");
    place.succeed("score model.vae test.csv --out moved.csv");
    let moved = std::fs::read_to_string(place.path("moved.csv")).unwrap();
    let elbos: Vec<f64> = moved.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(elbos[0] > elbos[1] + 100.0, "{moved}");
}

#[test]
fn a_linear_source_is_explained_as_well_as_its_own_evidence_allows() {
    let place = Workplace::new();
    place.succeed("simulate linear-gaussian --out data --rows 3000");
    place.succeed(
        "fit data/train.csv --out run --hidden 16 --latent 2 --batch 50 --epochs 60 --learning-rate 0.003 --posterior full",
    );
    place.succeed("export run --out model.vae --precision f32");
    let report = place.json("evaluate model.vae data/test.csv --likelihood --train data/train.csv --windows 500");
    // The evidence of the windows that were judged, N(0, W Wᵀ + σ² I), in f64.
    let ((features, latent), weights) =
        (vae_train::simulator::toy::LINEAR, vae_train::simulator::toy::linear_weights());
    let w = nalgebra::DMatrix::from_row_slice(features, latent, &weights);
    let noise = nalgebra::DMatrix::identity(features, features) * vae_train::simulator::toy::LINEAR_VARIANCE;
    let cholesky = (&w * w.transpose() + noise).cholesky().unwrap();
    let log_determinant = 2.0 * cholesky.l().diagonal().map(f64::ln).sum();
    let text = fs::read_to_string(place.path("data/test.csv")).unwrap();
    let rows: Vec<_> = text
        .lines()
        .skip(1)
        .step_by(6)
        .map(|line| {
            nalgebra::DVector::from_iterator(features, line.split(',').map(|field| field.parse::<f64>().unwrap()))
        })
        .collect();
    let constant = features as f64 * std::f64::consts::TAU.ln() + log_determinant;
    let evidence = rows.iter().map(|x| -0.5 * (x.dot(&cholesky.solve(x)) + constant)).sum::<f64>() / rows.len() as f64;

    let mean = |value: &Value| value["mean"].as_f64().unwrap();
    let by_samples = |key: &str| report[key].as_array().unwrap().iter().map(|pair| mean(&pair[1])).collect::<Vec<_>>();
    let (bounds, prior) = (by_samples("importance_weighted"), by_samples("prior_proposal"));
    let (elbo, gaussian) = (mean(&report["elbo"]), mean(&report["gaussian"]));
    // With a posterior this close to exact all K agree, but for the noise of 500 windows' draws.
    assert!(bounds.windows(2).all(|pair| pair[1] > pair[0] - 0.02), "{bounds:?}");
    // The model is not the source, so that it may explain 500 windows better than the truth by chance, but hardly.
    assert!(bounds[3] < evidence + 0.05 && bounds[3] > evidence - 0.25, "{bounds:?} for {evidence}");
    assert!(elbo < bounds[3] + 0.01 && elbo > evidence - 0.5, "{elbo} for {evidence}");
    assert!((gaussian - evidence).abs() < 0.05, "the source is a Gaussian: {gaussian} for {evidence}");
    assert!(mean(&report["kernel_density"]) < gaussian, "{report}");
    assert!(prior[1] < bounds[1] - 0.5, "ten samples of the prior are worse: {prior:?}");
    assert_eq!(report["active_units"], 2);
}

#[test]
fn generation_from_prior_and_aggregate_and_along_an_attribute() {
    let place = Workplace::new();
    place.succeed("simulate ring --out data --rows 1500");
    place.succeed(
        "fit data/train.csv --out run --hidden 32,32 --latent 2 --batch 50 --epochs 60 --learning-rate 0.003 \
         --mixture 6 --warm-up 20",
    );
    // An attribute: the right half of the ring.
    let test = fs::read_to_string(place.path("data/test.csv")).unwrap();
    let labelled: String =
        test.lines().skip(1).map(|line| format!("{line},{}\n", u8::from(!line.starts_with('-')))).collect();
    place.write("halves.csv", format!("x0,x1,right\n{labelled}"));
    place.succeed("attribute run halves.csv --label right");
    assert!(place.refuse("attribute run halves.csv --label right").contains("--force"));
    place.succeed("fit data/train.csv --out run --resume"); // complete: nothing is lost by asking
    place.succeed("export run --out model.vae");

    let read = |name: &str| -> Vec<[f64; 2]> {
        let text = fs::read_to_string(place.path(name)).unwrap();
        let row = |line: &str| {
            let (a, b) = line.split_once(',').unwrap();
            [a.parse().unwrap(), b.parse().unwrap()]
        };
        text.lines().skip(1).map(row).collect()
    };
    for source in ["prior", "aggregate"] {
        place.succeed(&format!("generate model.vae -n 400 --from {source} --sample --out {source}.csv"));
        let points = read(&format!("{source}.csv"));
        assert_eq!(points.len(), 400);
        let radius = points.iter().map(|p| p[0].hypot(p[1])).sum::<f64>() / 400.0;
        // The ring's mean radius is 1.125; a model that ignores its latents is a blob with 0.89.
        assert!((radius - 1.125).abs() < 0.12, "{source}: mean radius {radius}");
    }
    assert_eq!(place.run("generate model.vae -n 0 --out x.csv").status.code(), Some(2));
    place.succeed("generate model.vae --like data/test.csv -n 300 --out same.csv");
    place.succeed("generate model.vae --like data/test.csv -n 300 --attribute right --amount 1 --out right.csv");
    let shift: f64 =
        read("right.csv").iter().zip(read("same.csv")).map(|(moved, same)| moved[0] - same[0]).sum::<f64>() / 300.0;
    assert!(shift > 0.3, "moving along `right` moves by {shift}");
    let message = place.refuse("generate model.vae --attribute left --out x.csv");
    assert!(message.contains("`left`") && message.contains("`right`"), "{message}");
    assert!(place.refuse("generate model.vae --out x.png").contains("not a square image"));
}

#[test]
fn a_condition_explains_what_is_normal_only_under_it() {
    let place = Workplace::new();
    let noise = |i: usize, k: usize| ((i * 7919 + k * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let row = |i: usize, fault: f64| {
        let speed = 1.0 + 4.0 * (noise(i, 1) + 0.5);
        format!("{},{},{}", speed, speed * speed + 0.3 * noise(i, 2) + fault, speed + 0.3 * noise(i, 3))
    };
    let train: String = (0..1500).map(|i| row(i, 0.0) + "\n").collect();
    place.write("train.csv", format!("speed,a,b\n{train}"));
    let test: String = (2000..2600)
        .map(|i| format!("{},{}\n", row(i, if i % 3 == 0 { 2.5 } else { 0.0 }), u8::from(i % 3 == 0)))
        .collect();
    place.write("test.csv", format!("speed,a,b,label\n{test}"));
    place.succeed(
        "fit train.csv --out run --condition speed --hidden 16,16 --latent 1 --batch 25 --epochs 60 --learning-rate 0.003 \
         --likelihood gaussian-predicted",
    );
    place.succeed("export run --out model.vae");
    let info = place.json("info model.vae");
    assert_eq!((info["features"].as_u64(), info["conditions"][0].as_str()), (Some(2), Some("speed")));
    let auroc = place.json("evaluate model.vae test.csv --label label")["auroc"].as_f64().unwrap();
    assert!(auroc > 0.95, "{auroc}");
    // The threshold comes from rows with their conditions, too.
    place.succeed("calibrate run --normal train.csv --rate 1 --votes 1/1 --force");
    place.succeed("export run --out calibrated.vae");
    let calibrated = place.json("evaluate calibrated.vae test.csv --label label");
    assert_eq!(calibrated["auroc"].as_f64(), Some(auroc));
    let [falsely, found] = ["false_alarm_rate", "detection_rate"].map(|key| calibrated[key].as_f64().unwrap());
    assert!(falsely < 0.05 && found > 0.5, "{calibrated}");

    place.succeed("generate model.vae -n 50 --condition speed=4 --out fast.csv");
    let text = fs::read_to_string(place.path("fast.csv")).unwrap();
    let mean =
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() / 50.0;
    assert!((mean - 16.0).abs() < 2.5, "at speed 4, a is near 16: {mean}");

    assert!(place.refuse("generate model.vae --out x.csv").contains("conditional on `speed`"));
    assert!(place.refuse("generate model.vae --condition load=1 --out x.csv").contains("no condition `load`"));
    assert!(place.refuse("generate model.vae --condition speed=fast --out x.csv").contains("`fast` is not a number"));
    place.write("without.csv", "a,b\n1,2\n");
    assert!(place.refuse("score model.vae without.csv --out s.csv").contains("`speed`"));
    place.write("missing.csv", "speed,a,b\n1,1,1\n,1,2\n");
    assert!(
        place.refuse("score model.vae missing.csv --out s.csv").contains("row 2: the condition `speed` is missing")
    );
    assert!(place.refuse("fit train.csv --out new --condition load").contains("`load`"));
}

#[test]
fn binary_patterns_are_learned_with_discrete_latents() {
    let place = Workplace::new();
    place.succeed("simulate patterns --out data --rows 2000");
    place.succeed(
        "fit data/train.csv --out run --likelihood bernoulli --posterior bernoulli --latent 6 --hidden 32 --batch 50 \
         --epochs 60 --learning-rate 0.005 --samples 8",
    );
    place.succeed("export run --out model.vae");
    let report = place.json("evaluate model.vae data/test.csv --likelihood --windows 500");
    let bound = report["importance_weighted"][3][1]["mean"].as_f64().unwrap();
    // The source's entropy, exactly: per group ½ (0.95ᵏ 0.05⁴⁻ᵏ + 0.05ᵏ 0.95⁴⁻ᵏ) for each of its 16 values, k ones.
    let group: f64 = (0..16u32)
        .map(|bits| {
            let ones = bits.count_ones() as i32;
            let p = 0.5 * (0.95f64.powi(ones) * 0.05f64.powi(4 - ones) + 0.05f64.powi(ones) * 0.95f64.powi(4 - ones));
            p * p.ln()
        })
        .sum();
    let best = 4.0 * group;
    assert!(bound < best + 0.3 && bound > best - 1.5, "{bound} where the source itself has {best}");
    // Sixteen bits are a square: nine of them in a grid of three, with borders of one pixel.
    place.succeed("generate model.vae -n 9 --out grid.png");
    let png = fs::read(place.path("grid.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png[16..24] == [0, 0, 0, 16, 0, 0, 0, 16], "16 by 16 pixels");
    assert!(place.refuse("generate model.vae --from aggregate --out x.csv").contains("--mixture"));
    let message = place.refuse("fit data/train.csv --out new --posterior bernoulli --estimator reparameterised");
    assert!(message.contains("cannot be reparameterised"), "{message}");
    assert!(place.refuse("fit data/train.csv --out new --posterior bernoulli --samples 0").contains("samples is 0"));
}

/// A minute and a half of a motor whose model has seen others: `run`, and `normal.csv` to calibrate it by.
fn with_motor() -> Workplace {
    let place = Workplace::new();
    place.succeed("simulate motor --out data --seconds 20");
    place.succeed("simulate motor --out more --seconds 90 --seed 3");
    // In tenths of a second out of their order, so that a minute and a half holds all speeds in turn, many times, and is no part of a rhythm.
    let text = fs::read_to_string(place.path("more/train.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let parts: Vec<&[&str]> = rows.chunks_exact(160).collect();
    let shuffled: Vec<&str> = (0..parts.len()).flat_map(|part| parts[part * 611 % parts.len()]).copied().collect();
    assert_eq!((parts.len(), shuffled.len()), (900, rows.len()), "611 and 900 have no common divisor");
    place.write("normal.csv", format!("{header}\n{}\n", shuffled.join("\n")));
    fs::rename(place.path("more/train.csv"), place.path("ordered.csv")).unwrap();
    fs::remove_dir_all(place.path("more")).unwrap();
    place.succeed("fit data/train.csv --out run --window 32 --hop 16 --hidden 16 --latent 3 --epochs 6");
    place
}

#[test]
fn calibration_sets_the_threshold_by_a_rate_of_alarms_and_the_device_can_reset_it() {
    let place = with_motor();
    let threshold = |value: &Value| value["threshold"].as_f64().unwrap();
    place.succeed("export run --out plain.vae");
    let plain = place.json("info plain.vae");
    assert_eq!(
        (&plain["sample_rate"], &plain["has_alarm_tail"], &plain["drift_memory"]),
        (&Value::Null, &false.into(), &Value::Null)
    );

    // Without a rate of alarms: the 1 % quantile, and all that the device needs to set one by itself.
    let by_quantile = place.json("calibrate run --normal normal.csv --rate 1600");
    assert_eq!(
        (by_quantile["windows"].as_u64(), by_quantile["windows_per_second"].as_f64()),
        (Some(8999), Some(100.0))
    );
    assert_eq!(by_quantile["alarms"], Value::Null);

    let often = place.json("calibrate run --normal normal.csv --rate 1600 --alarms 1200/hour");
    place.succeed("export run --out often.vae");
    let seldom = place.json("calibrate run --normal normal.csv --rate 1600 --alarms 240/hour --range x=-16:16");
    place.succeed("export run --out seldom.vae");
    assert!(threshold(&seldom) < threshold(&often) - 0.1, "{seldom} {often}");
    let [asked, low, high] =
        [&seldom["alarms"][0], &seldom["alarms"][1][0], &seldom["alarms"][1][1]].map(|v| v.as_f64().unwrap());
    assert!((asked - 240.0 / 3600.0).abs() < 1e-6 && low < asked && asked < high && high < 10.0 * asked, "{seldom}");
    let text = place.succeed("calibrate run --normal normal.csv --rate 1600 --alarms 240/hour --range x=-16:16");
    for part in [
        "8999 normal, 1.5 min at 100.000 a second",
        "2 of the last 3 windows below it raise an alarm",
        "240/hour asked for; with 90 % confidence",
        "next",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // The file says so, and so does the device.
    let info = place.json("info seldom.vae");
    assert_eq!(threshold(&info), threshold(&seldom));
    assert_eq!((info["sample_rate"].as_f64(), &info["votes"]), (Some(1600.0), &serde_json::json!([2, 3])));
    assert_eq!((info["calibration_windows"].as_u64(), info["score"].as_str()), (Some(8999), Some("mean")));
    assert_eq!(info["drift_memory"], Value::Null, "the recording is too short for any");
    assert_eq!(
        (&info["channels"][0]["range"], &info["channels"][1]["range"]),
        (&serde_json::json!([-16.0, 16.0]), &Value::Null)
    );
    let text = place.succeed("info seldom.vae");
    for part in [
        "of detector; a snapshot",
        "2 of 3 votes",
        "at 1600 samples a second",
        "drift        not followed",
        "sensor -16 to 16",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let [often, seldom] = ["often.vae", "seldom.vae"].map(|name| AlignedFile::read(&place.path(name)).unwrap());
    let model = often.model().unwrap();
    let (mut window, mut state) = (heapless::Vec::<f32, 96>::new(), vec![0.0; model.state_len()]);
    assert_eq!(info["detector_state"].as_u64(), Some(4 * state.len() as u64));
    let detector = Detector::new(model, &mut window, &mut state).unwrap();
    assert_eq!(detector.threshold(), model.calibration().unwrap().threshold());
    let reset = detector.alarm_rate(Alarms::per_hour(240.0)).unwrap().threshold();
    // The same tail, in f32 on the device.
    let expected = seldom.model().unwrap().calibration().unwrap().threshold();
    assert!((reset - expected).abs() < 1e-3, "{reset} for {expected}");

    // By another score: threshold, p-values and anomalies are of what the device compares, here of the very windows and draws that
    // the model was calibrated by, which all these are then the ranks of.
    for score in ["samples:1", "importance:8"] {
        place.succeed(&format!("calibrate run --normal normal.csv --rate 1600 --score {score}"));
        place.succeed("export run --out other.vae --force");
        assert_eq!(place.json("info other.vae")["score"], score);
        place.succeed("score other.vae normal.csv --out scores.csv --force --samples 1");
        let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
        let rows: Vec<Vec<f64>> = scores.lines().skip(1).map(|line| numbers(line).0).collect();
        let share = |of: &dyn Fn(&[f64]) -> bool| rows.iter().filter(|row| of(row)).count() as f64 / rows.len() as f64;
        assert!((share(&|row| row[6] == 1.0) - 0.01).abs() < 2.0 / 8999.0, "{score}: {}", share(&|row| row[6] == 1.0));
        for p in [0.1, 0.5, 0.9] {
            // 129 quantiles are stored.
            let found = share(&|row| row[5] < p);
            assert!((found - p).abs() < 1.0 / 128.0, "{score}: {found} of the p-values are below {p}");
        }
    }
}

#[test]
fn alarms_of_a_calibrated_model_are_scored_and_evaluated_as_events() {
    let place = with_motor();
    // In its order, which the stream below has too; it is too short for what is asked.
    place.succeed("calibrate run --normal ordered.csv --rate 1600 --alarms 20/hour --force");
    place.succeed("export run --out model.vae");
    // Two events of 2.5 s, each between normal seconds: a misalignment and a bearing.
    let rows = |name: &str, from: usize| -> Vec<String> {
        let text = fs::read_to_string(place.path("data").join(name)).unwrap();
        text.lines().skip(1 + from).take(4000).map(str::to_owned).collect()
    };
    let mut stream = String::from("z,label,y,x\n");
    for (name, from, label) in
        [("normal", 0, 0), ("misalignment", 0, 1), ("normal", 4000, 0), ("bearing", 4000, 1), ("normal", 0, 0)]
    {
        for row in rows(&format!("{name}.csv"), from) {
            let [x, y, z] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
            stream += &format!("{z},{label},{y},{x}\n");
        }
    }
    place.write("stream.csv", stream);

    place.succeed("score model.vae stream.csv --label label --out scores.csv");
    let text = fs::read_to_string(place.path("scores.csv")).unwrap();
    assert_eq!(text.lines().next(), Some(SCORE_COLUMNS));
    let rows: Vec<(Vec<f64>, &str)> = text.lines().skip(1).map(numbers).collect();
    assert_eq!(rows.len(), (20_000 - 32) / 16 + 1);
    assert!(rows.iter().all(|(row, verdict)| (row[7] == 1.0) == verdict.starts_with("anomalous: ")));
    // 2 of 3 votes raise an alarm at once.
    let (mut votes, mut was, mut alarms) = (Votes::new(2, 3).unwrap(), false, 0);
    for (row, _) in &rows {
        let is = row[7] == 1.0;
        assert!(!votes.push(row[6] == 1.0) || is, "{row:?}");
        alarms += u64::from(is && !was);
        was = is;
    }
    // A window with an alarm belongs to an event if it holds a row of one.
    let found = place.json("evaluate model.vae stream.csv --label label");
    let events = &found["events"];
    assert_eq!((events["events"].as_array().unwrap().len(), events["detected"].as_u64()), (2, Some(2)), "{found}");
    for (event, (first, last)) in events["events"].as_array().unwrap().iter().zip([(4000, 7999), (12_000, 15_999)]) {
        assert_eq!((event["first_row"].as_u64(), event["last_row"].as_u64()), (Some(first), Some(last)));
        let first_on = rows.iter().find(|(row, _)| row[0] >= first as f64 && row[7] == 1.0).unwrap().0[0];
        // The alarm of the first event may last until the second begins.
        let delay = if event["was_on"] == true { 0.0 } else { first_on - first as f64 };
        assert_eq!(event["delay"].as_f64().unwrap(), delay, "{event}");
        // The faults' severity is drawn anew every second, of which one may be mild.
        assert!(first_on - (first as f64) < 3200.0, "{event}");
    }
    assert_eq!(events["alarms"].as_u64(), Some(alarms));
    let falsely = events["false_alarms"].as_f64().unwrap();
    assert_eq!(events["false_alarms_per_hour"].as_f64(), Some(falsely / (12_000.0 / 1600.0 / 3600.0)));
    // The alarm lasts on into the normal seconds between, which are short.
    assert!(events["mean_delay_seconds"].is_number() && events["recall"].as_f64().unwrap() > 0.7, "{events}");
    // 240 an hour are half an alarm in these 7.5 s.
    assert!(falsely <= 3.0, "{events}");
    let text = place.succeed("evaluate model.vae stream.csv --label label");
    assert!(text.contains("2 of 2 detected, mean delay 0.") && text.contains("an hour"), "{text}");
}

#[test]
fn calibration_refuses_what_the_data_do_not_support_and_bad_input() {
    let place = with_motor();
    let normal = fs::read_to_string(place.path("normal.csv")).unwrap();
    let lines: Vec<&str> = normal.lines().skip(1).collect();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let table = |header: &str, row: &dyn Fn(usize, Vec<String>) -> String| {
        let rows: Vec<String> = lines.iter().take(20_000).enumerate().map(|(i, line)| row(i, cells(line))).collect();
        format!("{header}\n{}\n", rows.join("\n"))
    };
    place.write("two.csv", table("x,y", &|_, row| row[..2].join(",")));
    place.write("permuted.csv", table("z,extra,x,y", &|_, row| format!("{},1,{},{}", row[2], row[0], row[1])));
    place.write("same.csv", table("x,y,z", &|_, row| row.join(",")));
    place.write("infinite.csv", table("x,y,z", &|i, row| if i == 41 { "1,inf,2".to_owned() } else { row.join(",") }));
    // What is labelled an anomaly is not normal, whatever it does to the sensor.
    place.write("spike.csv", table("x,y,z", &|i, row| if i == 41 { "1,99,2".to_owned() } else { row.join(",") }));
    place.write(
        "labelled.csv",
        table("x,y,z,label", &|i, row| {
            if i == 41 { "1,99,2,1".to_owned() } else { format!("{},0", row.join(",")) }
        }),
    );
    place.write("anomalies.csv", table("x,y,z,label", &|_, row| format!("{},1", row.join(","))));
    place.write("short.csv", normal.lines().take(4000).collect::<Vec<_>>().join("\n"));
    place.write("few.csv", normal.lines().take(32).collect::<Vec<_>>().join("\n"));
    place.write("constant.csv", format!("x,y,z\n{}", "0.1,-1,0.2\n".repeat(20_000)));
    place.succeed("calibrate run --normal same.csv --rate 1600 --votes 3/5"); // a calibration that must stay

    let rate = "--rate 1600 --alarms 2/day";
    let message = place.refuse(&format!("calibrate run --normal normal.csv {rate}"));
    for part in [
        "8999 windows (1.5 min) of normal data do not support 2/day false alarms: there might be ",
        "; these windows support ",
        "--force takes it as it is",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // What the message says is supported is.
    let supported = message.split("these windows support ").nth(1).unwrap().split(';').next().unwrap();
    for (arguments, expected) in [
        (
            "--normal short.csv --rate 1600 --alarms 1/day",
            "248 windows of normal data are too few to tell how often rare scores come: at least 500",
        ),
        ("--normal few.csv", "a window of 32 samples is longer than the data (31 rows)"),
        ("--normal constant.csv --rate 1600 --alarms 1/hour", "the least normal windows all "),
        (
            "--normal normal.csv --rate 1600 --alarms 90000/hour",
            "too frequent to be told from the tail of the scores: ask for",
        ),
        ("--normal same.csv --range w=-1:1", "--range: there is no channel `w`; the model's are `x`, `y`, `z`"),
        ("--normal same.csv --range y=-0.5:16", "channel `y` is "),
        ("--normal same.csv --range y=-0.5:16", "in normal data, outside its --range -0.5 to 16"),
        ("--normal spike.csv --range y=-16:16", "channel `y` is 99 in normal data"),
        ("--normal two.csv", "lacks 1 of the model's 3 columns: `z`; its own are `x`, `y`"),
        ("--normal infinite.csv", "row 42 (line 43), column `y`: `inf` is beyond the range of 32-bit numbers"),
        ("--normal anomalies.csv --label label", "no normal window is complete"),
        ("--normal same.csv --label fault", "no column `fault`"),
        ("--normal none.csv", "cannot read none.csv"),
    ] {
        let message = place.refuse(&format!("calibrate run {arguments}"));
        assert!(message.contains(expected), "{arguments}: {message}");
    }
    assert!(place.refuse("calibrate none --normal same.csv").contains("none holds no run"));
    // Without a rate: a row a second, or what a clock says; here both are too few for what is asked.
    assert!(
        place
            .refuse("calibrate run --normal short.csv --alarms 1/year")
            .contains("no --rate: one row a second is assumed")
    );
    let text = std::fs::read_to_string(place.path("short.csv")).unwrap();
    let timed = text.lines().enumerate().map(|(row, line)| match row {
        0 => format!("time,{line}\n"),
        _ => format!("{},{line}\n", 0.125 * row as f64),
    });
    place.write("timed.csv", timed.collect::<String>());
    let message = place.refuse("calibrate run --normal timed.csv --alarms 1/year");
    assert!(message.contains("no --rate: 8.000000 rows a second, by column `time`"), "{message}");
    for (arguments, expected) in [
        (
            "--rate 1600 --alarms 1/fortnight",
            "is no rate of alarms: give a number above 0 per hour, day, week, month or year",
        ),
        ("--rate 0", "`0` is not a positive number"),
        ("--votes 0/5", "0/5: give m/n, m of the last n windows, with 1 ≤ m ≤ n ≤ 32"),
        ("--votes 6/5", "6/5: give m/n, m of the last n windows, with 1 ≤ m ≤ n ≤ 32"),
        ("--votes 33/33", "33/33: give m/n"),
        ("--votes most", "give m/n, as in 2/3"),
        ("--range x=1:-1", "the least value must be below the largest"),
        ("--range x", "give channel=least:largest"),
        ("--score importance:0", "give mean, samples:L or importance:K"),
        ("--score median", "give mean, samples:L or importance:K"),
    ] {
        let before = files(place.0.path());
        let output = place.run(&format!("calibrate run --normal same.csv {arguments}"));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.contains(expected), "{arguments}: {message}");
        assert_eq!(files(place.0.path()), before, "{arguments} changed files");
    }
    // None of this has touched the calibration.
    place.succeed("export run --out before.vae");
    assert_eq!(place.json("info before.vae")["votes"], serde_json::json!([3, 5]));

    let calibrated = |arguments: &str| place.json(&format!("calibrate run --normal {arguments}"));
    assert!(calibrated(&format!("normal.csv --rate 1600 --alarms {supported}"))["refusal"].is_null());
    let output = place.run(&format!("calibrate run --normal normal.csv {rate} --force --json"));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && message.contains("taken with --force, although normal.csv: 8999 windows"),
        "{message}"
    );
    assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["refusal"].is_string());
    // Columns go by their names.
    let [same, permuted] = ["same.csv", "permuted.csv"].map(|name| calibrated(&format!("{name} --rate 1600")));
    assert_eq!(same["threshold"], permuted["threshold"]);
    let labelled = calibrated("labelled.csv --range y=-16:16");
    assert_eq!((labelled["left_out"].as_u64(), labelled["windows"].as_u64()), (Some(2), Some(1247)));
    place.write("gaps.csv", table("x,y,z", &|i, row| if i == 41 { "1,,2".to_owned() } else { row.join(",") }));
    let gaps = calibrated("gaps.csv");
    assert_eq!((gaps["left_out"].as_u64(), gaps["windows"].as_u64()), (Some(2), Some(1247)));
}

#[test]
fn another_fit_forgets_the_calibration() {
    let place = with_motor();
    place.succeed("calibrate run --normal normal.csv --rate 1600 --votes 3/5");
    let fit = "fit data/train.csv --out run --window 32 --hop 16 --hidden 16 --latent 3 --epochs 2";
    // Nothing is lost by what is refused, nor by asking to go on.
    assert!(place.refuse(fit).contains("--force replaces it"));
    place.succeed("fit data/train.csv --out run --resume");
    place.succeed("export run --out before.vae");
    assert_eq!(place.json("info before.vae")["votes"], serde_json::json!([3, 5]));
    place.succeed(&format!("{fit} --force"));
    place.succeed("export run --out after.vae");
    let info = place.json("info after.vae");
    assert_eq!((&info["votes"], &info["sample_rate"]), (&serde_json::json!([1, 1]), &Value::Null));
    assert_eq!(info["calibration_windows"].as_u64(), Some(400), "the held-out windows");
}

#[test]
fn front_ends_are_fitted_exported_calibrated_and_scored() {
    let place = Workplace::new();
    place.succeed("simulate motor --out data --seconds 20");
    place.succeed("simulate motor --out more --seconds 40 --seed 3");
    for (front_end, features, names) in [
        ("statistics", 18, ["statistics", "statistics", "statistics"]),
        ("x=bands:8,y=statistics,z=mean", 15, ["bands:8", "statistics", "mean"]),
    ] {
        place.succeed(&format!(
            "fit data/train.csv --out run --force --window 64 --hop 32 --front-end {front_end} --hidden 16 --latent 3 --epochs 20"
        ));
        place.succeed("calibrate run --normal more/train.csv --rate 1600 --alarms 600/hour --force");
        place.succeed("export run --out model.vae --force");
        let info = place.json("info model.vae");
        assert_eq!((info["features"].as_u64(), info["window_bytes"].as_u64()), (Some(features), Some(4 * 3 * 64)));
        for (channel, name) in info["channels"].as_array().unwrap().iter().zip(names) {
            assert_eq!(channel["front_end"], name);
        }
        assert!(place.succeed("info model.vae").contains(&format!("x: {}, first with mean", names[0])));
        place.succeed("score model.vae data/normal.csv --out scores.csv --force");
        let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
        assert_eq!(scores.lines().count(), 1 + (8000 - 64) / 32 + 1);
        let median = {
            let mut p: Vec<f64> = scores.lines().skip(1).map(|line| numbers(line).0[5]).collect();
            p.sort_by(f64::total_cmp);
            p[p.len() / 2]
        };
        // Of 249 half overlapping windows, from another run of the motor at other speeds.
        assert!((0.2..0.8).contains(&median), "{front_end}: half of the p-values are below {median}");
        let found = place.json("evaluate model.vae data/test.csv --label label");
        // Twenty epochs on twenty seconds: far from what is possible, and from the 0.5 of features that got mixed up.
        assert!(found["auroc"].as_f64().unwrap() > 0.8, "{front_end}: {found}");
    }
    // A stuck axis is a sensor's fault, and the bearing rings on both axes that are seen by more than their means.
    let verdicts = |name: &str| {
        place.succeed(&format!("score model.vae data/{name}.csv --out {name}.csv"));
        let text = fs::read_to_string(place.path(&format!("{name}.csv"))).unwrap();
        text.lines().skip(1).map(|line| numbers(line).1.to_owned()).collect::<Vec<_>>()
    };
    let share = |verdicts: &[String], of: &str| {
        verdicts.iter().filter(|verdict| verdict.starts_with(of)).count() as f64 / verdicts.len() as f64
    };
    assert!(share(&verdicts("stuck-sensor"), "stuck: x") > 0.9);
    let bearing = verdicts("bearing");
    assert!(share(&bearing, "anomalous: x") + share(&bearing, "anomalous: y") > 0.9);

    for (arguments, expected) in [
        (
            "--window 48 --front-end bands:8",
            "8 bands of windows of 48 samples: give --window as a power of two from 16 to 2048",
        ),
        ("--window 16 --front-end bands:8", "at most a quarter as many bands"),
        ("--window 64 --front-end w=mean", "there is no channel `w`; the channels are `x`, `y`, `z`"),
        ("--window 64 --front-end median", "`median` is no front-end: give raw, mean, statistics, bands:N, mel:N"),
        ("--window 64 --front-end bands:2", "`bands:2`: give 3 to 255 bands"),
        ("--front-end mean", "means of windows of 1 samples: give a --window of at least 2"),
        ("--window 6 --front-end statistics", "give a --window of at least 7"),
    ] {
        let message = place.refuse(&format!("fit data/train.csv --out new {arguments}"));
        assert!(message.contains(expected), "{arguments}: {message}");
    }
    let bits: String = (0..200).map(|i| format!("{},{}\n", i % 2, i / 2 % 2)).collect();
    place.write("bits.csv", format!("a,b\n{bits}"));
    let message = place.refuse("fit bits.csv --out new --window 8 --front-end statistics --likelihood bernoulli");
    assert!(
        message.contains("a Bernoulli likelihood is for zeros and ones") && message.contains("leave out --front-end"),
        "{message}"
    );
}

#[test]
fn p_values_of_normal_rows_are_uniform() {
    let place = Workplace::new();
    // Rows that are independent by construction, unlike windows of the motor, whose speed takes seconds to change: of which 3000
    // train, 3000 calibrate and 3000 are judged.
    place.succeed("simulate linear-gaussian --out data --rows 3000");
    place.succeed("simulate linear-gaussian --out more --rows 3000 --seed 5");
    place.succeed("fit data/train.csv --out run --hidden 16 --latent 2 --batch 50 --epochs 10 --learning-rate 0.003");
    place.succeed("calibrate run --normal more/train.csv --votes 1/1");
    place.succeed("export run --out model.vae");
    let judge = |name: &str| {
        place.succeed(&format!("score model.vae {name} --out scores.csv --force"));
        let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
        let p_values: Vec<f64> = scores.lines().skip(1).map(|line| numbers(line).0[5]).collect();
        Uniformity::of(&p_values).unwrap().distance
    };
    // The calibration is a sample as well: of two samples, n is n m / (n + m). 1.6276 is exceeded by chance once in a hundred.
    let n = 1500f64.sqrt();
    let largest = 1.6276 / (n + 0.12 + 0.11 / n);
    let distance = judge("data/test.csv");
    assert!(distance < largest, "{distance} is more than {largest}");
    // Rows that are a tenth larger are another distribution.
    let test = fs::read_to_string(place.path("data/test.csv")).unwrap();
    let scaled = |line: &str| {
        let values = line.split(',').map(|field| (1.1 * field.parse::<f64>().unwrap()).to_string());
        values.collect::<Vec<_>>().join(",")
    };
    let rows: Vec<String> = test.lines().skip(1).map(scaled).collect();
    place.write("larger.csv", format!("{}\n{}\n", test.lines().next().unwrap(), rows.join("\n")));
    assert!(judge("larger.csv") > 1.5 * largest);
}
