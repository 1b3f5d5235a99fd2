//! The same seed gives the same files: again, on any number of threads, and on other processors.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use vae_tests::skip;

use crate::workplace::{BINARY, Workplace, files, message};

/// Every family and objective, small enough for an emulated processor; what is asked of a fitted model follows.
const COMMANDS: [&str; 11] = [
    "fit train.csv --out run --epochs 4 --hidden 24,12 --latent 3 --mixture 2 --second-stage --quantisation-aware 1",
    "fit train.csv --out importance --epochs 2 --objective importance --samples 3 --posterior full --activation tanh --hidden 30 \
     --prior 0",
    "fit train.csv --out coins --epochs 2 --posterior bernoulli --likelihood gaussian-predicted --samples 1 --activation softplus --hidden 12",
    "fit train.csv --out states --epochs 1 --posterior categorical --latent 6 --categories 3 --hidden 12",
    "fit train.csv --out enumerated --epochs 1 --posterior categorical --latent 6 --categories 3 --hidden 12 --estimator enumeration",
    "fit train.csv --out wide --epochs 2 --window 110 --hop 10 --batch 9 --hidden 40",
    "fit train.csv --out several --device flex,flex,flex --epochs 1 --batch 64 --hidden 300,300 --latent 3",
    "calibrate run --normal normal.csv --alarms 4/hour",
    "export run --out model.vae",
    "score model.vae test.csv --out scores.csv",
    "report run --data test.csv --out report.html",
];

/// A workplace with three tables: relations that hold, and in the last, with its labels, some that break.
fn prepared() -> Workplace {
    let place = Workplace::new();
    let mut state = 1_u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    for (name, rows) in [("train.csv", 400), ("normal.csv", 1200), ("test.csv", 200)] {
        let test = name == "test.csv";
        let mut table = format!("a,b,c,d,e{}\n", if test { ",label" } else { "" });
        for row in 0..rows {
            let broken = test && row >= 150;
            let [u, v, w, noise] = [(); 4].map(|()| uniform());
            let (c, d) = if broken { (v - u, u) } else { (u + 0.3 * v + 0.1 * noise, u * v) };
            table += &format!("{u:.5},{v:.5},{c:.5},{d:.5},{w:.5}");
            table += if !test {
                "\n"
            } else if broken {
                ",1\n"
            } else {
                ",0\n"
            };
        }
        place.write(name, table);
    }
    place
}

/// What the commands leave, by path.
fn results(place: &Workplace, command: impl Fn(&str) -> Command) -> Vec<(PathBuf, Vec<u8>)> {
    for arguments in COMMANDS {
        let output = command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", message(&output));
    }
    let relative = |path: &Path| path.strip_prefix(place.path("")).unwrap().to_path_buf();
    files(&place.path("")).into_iter().map(|(path, contents)| (relative(&path), contents)).collect()
}

fn natively(threads: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let place = prepared();
    results(&place, |arguments| {
        let mut command = place.command(arguments);
        command.env("RAYON_NUM_THREADS", threads.to_string());
        command
    })
}

fn assert_same(found: &[(PathBuf, Vec<u8>)], expected: &[(PathBuf, Vec<u8>)], where_: &str) {
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{where_}");
    let differing = found.iter().zip(expected).filter(|(found, expected)| found != expected);
    let differing: Vec<_> = differing.map(|((path, _), _)| path).collect();
    assert!(differing.is_empty(), "{where_}: other bytes in {differing:?}");
    assert!(names(found).iter().any(|path| path.ends_with("checkpoint.bin")) && found.len() > 20, "{}", found.len());
}

#[test]
fn equal_commands_leave_equal_files_on_any_number_of_threads() {
    let expected = natively(1);
    for threads in [1, 2, 3] {
        assert_same(&natively(threads), &expected, &format!("{threads} threads"));
    }
}

/// Processors of QEMU's, none of which has AVX-512: with AVX2 and FMA; with FMA and without AVX2; with neither; with SSE2 alone.
const PROCESSORS: [&str; 4] = ["Haswell", "Opteron_G5", "Nehalem", "qemu64"];

#[test]
fn other_processors_leave_the_files_of_this_one() {
    if !cfg!(target_arch = "x86_64") || Command::new("qemu-x86_64").arg("--version").output().is_err() {
        return skip("needs an x86-64 and qemu-x86_64: apt-get install qemu-user");
    }
    let expected = natively(2);
    thread::scope(|scope| {
        for processor in PROCESSORS {
            let expected = &expected;
            scope.spawn(move || {
                let place = prepared();
                let found = results(&place, |arguments| {
                    let mut command = Command::new("qemu-x86_64");
                    command.args(["-cpu", processor, BINARY]).args(arguments.split_whitespace());
                    command.current_dir(place.path(""));
                    command
                });
                assert_same(&found, expected, processor);
            });
        }
    });
}
