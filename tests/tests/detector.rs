//! The detector: verdicts on simulated motors, sensors that fail, drift, and what it refuses.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{Detector, Scratch, Verdict};
use vae_tests::root;
use vae_train::{
    model_file::AlignedFile,
    motor::{Condition, simulate},
};

fn verdicts(model: &AlignedFile, samples: impl Iterator<Item = [f32; 3]>) -> Vec<Verdict> {
    let model = model.model().unwrap();
    let mut window = heapless::Vec::<f32, 192>::new();
    let (mut state, mut memory) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut scratch = Scratch::new(&mut memory);
    let mut detector = Detector::new(model, &mut window, &mut state).unwrap();
    samples.filter_map(|sample| detector.push(&sample, &mut scratch).unwrap()).collect()
}

fn count(verdicts: &[Verdict]) -> [usize; 4] {
    let mut counts = [0; 4];
    for verdict in verdicts {
        counts[match verdict {
            Verdict::Normal(_) => 0,
            Verdict::Anomalous(_) => 1,
            Verdict::SensorFault(_) => 2,
            Verdict::Drifting(_) => 3,
        }] += 1;
    }
    counts
}

#[test]
fn explore() {
    let model = AlignedFile::read(&std::path::PathBuf::from(
        std::env::var("M").unwrap_or(root().join("firmware-example/model/motor.vae").display().to_string()),
    ))
    .unwrap();
    let m = model.model().unwrap();
    println!("{:?}", m.calibration().unwrap());
    for c in 0..3 {
        println!("{:?}", m.calibration().unwrap().channel(c));
    }
    for seed in 0..3 {
        let v = verdicts(&model, simulate(Condition::Normal, 400.0, 1000 + seed).into_iter());
        println!("normal {:?} {:?}", count(&v), v.iter().find(|v| matches!(v, Verdict::Drifting(_))));
    }
    for fault in Condition::FAULTS {
        let v = verdicts(&model, simulate(fault, 60.0, 7).into_iter());
        let mut ch = [0; 3];
        for v in &v {
            if let Verdict::Anomalous(a) = v {
                ch[a.channel as usize] += 1;
            }
        }
        println!("{:?} {:?} channels {ch:?}", fault, count(&v));
    }
    for (name, gain, axes) in
        [("gain all", 1.1, [1, 1, 1]), ("gain y", 1.1, [0, 1, 0]), ("gain x", 1.1, [1, 0, 0]), ("down", 0.9, [1, 1, 1])]
    {
        let n = simulate(Condition::Normal, 1200.0, 77);
        let len = n.len() as f32;
        let v = verdicts(
            &model,
            n.into_iter().enumerate().map(|(i, s)| {
                let g = 1.0 + (gain - 1.0) * (i as f32 / (0.8 * len)).min(1.0);
                [0, 1, 2].map(|k| if axes[k] == 1 { s[k] * g } else { s[k] })
            }),
        );
        let first = |f: &dyn Fn(&Verdict) -> bool| v.iter().position(|v| f(v));
        println!(
            "{name} {:?} first drift {:?} first anomaly {:?} {:?}",
            count(&v),
            first(&|v| matches!(v, Verdict::Drifting(_))),
            first(&|v| matches!(v, Verdict::Anomalous(_))),
            v.iter().find(|v| matches!(v, Verdict::Drifting(_)))
        );
        println!("   {:?}", v.last());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut total = [0; 4];
    for trial in 0..300 {
        let n = simulate(Condition::Normal, 2.0, 5000 + trial);
        let (axis, at, kind) = (rng.random_range(0..3), rng.random_range(300..1500usize), trial % 5);
        let mut held = 0.0;
        let v = verdicts(
            &model,
            n.into_iter().enumerate().map(|(i, mut s)| {
                if i == at {
                    held = match kind {
                        0 => s[axis],
                        1 => 0.0,
                        2 => f32::NAN,
                        3 => 16.0,
                        _ => f32::INFINITY,
                    };
                }
                if i >= at {
                    s[axis] = held;
                }
                s
            }),
        );
        let c = count(&v);
        if c[1] > 0 {
            println!("dead: axis {axis} at {at} kind {kind} {c:?}");
        }
        for k in 0..4 {
            total[k] += c[k];
        }
    }
    println!("dead {total:?}");
}
