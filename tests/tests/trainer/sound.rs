//! Mel bands from a WAV file to verdicts: the input and the network of MLPerf Tiny's anomaly detection, as `docs/sound.md` has them.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{Detector, FrontEnd, Scratch};
use vae_tests::{root, tables::wav};
use vae_train::file::model_file::AlignedFile;

use super::workplace::Workplace;

/// A machine's hum of 16 bits: harmonics of a speed that wanders, and noise; a fault whistles.
fn machine(seconds: f32, rate: u32, seed: u64, is_faulty: bool) -> Vec<i16> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut phase = 0.0f32;
    let sample = |i: usize| {
        let time = i as f32 / rate as f32;
        phase += 120.0 * (1.0 + 0.05 * (0.7 * time).sin()) / rate as f32;
        let hum: f32 = (1..12).map(|k| (std::f32::consts::TAU * k as f32 * phase.fract()).sin() / k as f32).sum();
        let whistle = if is_faulty { (std::f32::consts::TAU * 3170.0 * time).sin() } else { 0.0 };
        (3000.0 * hum + 600.0 * whistle + rng.random_range(-800.0..800.0f32)) as i16
    };
    (0..(seconds * rate as f32) as usize).map(sample).collect()
}

fn file(samples: &[i16], rate: u32) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    wav(1, 16, 1, rate, &bytes)
}

/// The commands of the documentation, of which the fit is kept short.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/sound.md")).unwrap().replace("\\\n", " ");
    let lines = text.lines().filter(|line| line.starts_with("vae-train "));
    lines.map(|line| line["vae-train ".len()..].replace('\'', "")).collect()
}

#[test]
fn mlperf_tinys_input_and_network_from_a_wav_file() {
    let place = Workplace::new();
    place.write("machine.wav", file(&machine(8.0, 16_000, 1, false), 16_000));
    fs::create_dir(place.path("normal")).unwrap();
    place.write("normal/a.wav", file(&machine(60.0, 16_000, 2, false), 16_000));
    let new = [machine(3.0, 16_000, 3, false), machine(3.0, 16_000, 4, true)].concat();
    place.write("new.wav", file(&new, 16_000));
    let commands = commands();
    let [fit, calibrate, export, score] = &commands[..] else { panic!("{commands:?}") };
    place.succeed(&format!("{fit} --epochs 6 --patience 6"));
    place.succeed(&format!("{} --alarms 600/hour --force", calibrate.replace(" --alarms 1/day", "")));
    place.succeed(&format!("{export} --force"));
    place.succeed(score);

    let info = place.json("info toycar.vae");
    let of = |name: &str| info[name].as_u64().unwrap();
    assert_eq!(["features", "window", "hop", "latent"].map(of), [640, 3072, 512, 8]);
    assert_eq!(
        (&info["channels"][0]["front_end"], &info["channels"][0]["mel_rate"]),
        (&"mel:128x5".into(), &16_000.into())
    );
    assert_eq!(info["sample_rate"], 16_000.0);
    let layers = info["layers"].as_array().unwrap();
    let widths = |name: &str| layers.iter().map(|layer| layer[name].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(widths("inputs"), [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]);
    assert_eq!(widths("outputs"), [128, 128, 128, 128, 16, 128, 128, 128, 128, 640]);
    assert!(place.succeed("info toycar.vae").contains("channel0: mel:128x5 at 16000 samples a second, first with"));
    place.succeed("report runs/toycar --out report.html");
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    assert!(page.contains("128 mel bands in each of 5 frame(s), at 16000 samples a second"));

    // What the detector on the device is given, and what it finds.
    let bytes = AlignedFile::read(&place.path("toycar.vae")).unwrap();
    let model = bytes.model().unwrap();
    assert_eq!(model.front_end(0), Ok(FrontEnd::Mel { bands: 128, frames: 5, rate: 16_000 }));
    let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut detector = Detector::over(model, &mut window, &mut state).unwrap();
    let samples = new.iter().map(|sample| f32::from(*sample) / 32_768.0);
    let verdicts: Vec<_> = samples.filter_map(|sample| detector.push(&[sample], &mut scratch).unwrap()).collect();
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    let mut lines = scores.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = columns.iter().position(|name| *name == "elbo").unwrap();
    let found: Vec<f32> = lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect();
    assert_eq!((found.len(), verdicts.len()), (1 + (96_000 - 3072) / 512, 1 + (96_000 - 3072) / 512));
    // Windows of the machine as it was, and of the whistle.
    let mean = |scores: &[f32]| scores.iter().sum::<f32>() / scores.len() as f32;
    let (normal, faulty) = (&found[..88], &found[94..]);
    assert!(mean(faulty) < mean(normal) - 50.0, "{} and {}", mean(faulty), mean(normal));
    for (verdict, found) in verdicts.iter().zip(&found) {
        let score = verdict.assessment().unwrap().score;
        assert!((score - found).abs() <= 1e-4 * score.abs(), "{score} and {found}");
    }

    // A recording of another rate is another sound.
    place.write("slow.wav", file(&machine(1.0, 8000, 5, false), 8000));
    let refused = place.fail("score toycar.vae slow.wav --out slow.csv");
    assert!(
        refused.contains("has 8000 rows a second, by its head, and the model was calibrated for 16000"),
        "{refused}"
    );
    let refused = place.fail("calibrate runs/toycar --normal slow.wav");
    assert!(refused.contains("8000 rows a second, and the model's mel bands are computed by 16000"), "{refused}");
}

#[test]
fn the_rate_of_mel_bands_is_the_datas_or_is_asked_for() {
    const FIT: &str = "--window 128 --hop 64 --front-end mel:6x3 --hidden 8 --latent 2 --epochs 1 --force";
    let place = Workplace::new();
    let samples = machine(1.0, 8000, 1, false);
    place.write("a.wav", file(&samples, 8000));
    let rows = |time: bool| {
        let head = if time { "time,x\n" } else { "x\n" };
        let row = |(i, sample): (usize, &i16)| match time {
            true => format!("{:.6},{sample}\n", i as f32 / 8000.0),
            false => format!("{sample}\n"),
        };
        head.to_owned() + &samples.iter().enumerate().map(row).collect::<String>()
    };
    place.write("timed.csv", rows(true));
    place.write("bare.csv", rows(false));
    let rate_of = |run: &str| {
        place.succeed(&format!("export {run} --out model.vae --force"));
        place.json("info model.vae")["channels"][0]["mel_rate"].as_u64()
    };
    for data in ["a.wav", "timed.csv", "bare.csv --rate 8000"] {
        place.succeed(&format!("fit {data} --out run {FIT}"));
        assert_eq!(rate_of("run"), Some(8000), "{data}");
        // Without a calibration the rate is known, too.
        place.write("other.wav", file(&samples, 16_000));
        if data == "a.wav" {
            let refused = place.fail("score model.vae other.wav --out scores.csv");
            assert!(refused.contains("and the model has mel bands by 8000"), "{refused}");
        }
    }
    // A run goes on with the rate that it was started with.
    place.succeed("fit bare.csv --out run --resume");
    let unknown = place.fail(&format!("fit bare.csv --out other {FIT}"));
    assert!(
        unknown.contains("`mel:6x3` divides the frequencies in Hz") && unknown.contains("give --rate"),
        "{unknown}"
    );
    let contradicted = place.fail(&format!("fit a.wav --rate 9000 --out other {FIT}"));
    assert!(contradicted.contains("--rate 9000: a.wav has 8000 rows a second, by its head"), "{contradicted}");
    let unused = place.fail("fit bare.csv --rate 8000 --out other --epochs 1");
    assert!(unused.contains("--rate is for mel bands"), "{unused}");
    place.write("mel.toml", "[data]\nwindow = 128\nhop = 64\nfront_end = [\"mel:6x3\"]\nrate = 8000\n");
    place.succeed("fit bare.csv --config mel.toml --hidden 8 --latent 2 --epochs 1 --out run --force");
    assert_eq!(rate_of("run"), Some(8000));
}
