//! The trainer on bad days: killed at any moment, two at once, a full disk, a disk that cannot be written to.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_tests::skip;

use crate::workplace::{BINARY, Workplace, files, message};

const FIT: &str = "fit train.csv --epochs 30 --patience 30 --batch 32 --hidden 8 --latent 2 --mixture 2";
const CALIBRATE: &str = "calibrate run --normal train.csv --force";
const EXPORT: &str = "export run --force --out model.vae";
const SCORE: &str = "score model.vae train.csv --force --out scores.csv";
/// A fit that does not end by itself.
const ENDLESS: &str = "fit train.csv --epochs 1000000 --patience 1000000 --batch 32 --hidden 8 --latent 2";

impl Workplace {
    /// With 400 rows of three dependent columns.
    fn with_rows() -> Self {
        let place = Self::new();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut table = String::from("a,b,c\n");
        for _ in 0..400 {
            let [t, b, c]: [f32; 3] = [(); 3].map(|()| rng.random_range(-1.0..1.0));
            table += &format!("{t},{},{}\n", 2.0 * t + 0.1 * b, 5.0 - t + 0.1 * c);
        }
        place.write("train.csv", table);
        place
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    fn start(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a bash script here, in which `$0` is the trainer.
    fn script(&self, script: &str) -> Output {
        Command::new("bash").args(["-c", script, BINARY]).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs a command whose files cannot become longer than `bytes`: the write that would make one so fails as on a full disk, or kills
    /// the process.
    fn limited(&self, arguments: &str, bytes: u64, kills: bool) -> Output {
        let fails = if kills { "" } else { "trap '' XFSZ;" };
        self.script(&format!("ulimit -c 0; {fails} exec prlimit --fsize={bytes} \"$0\" {arguments}"))
    }

    /// Kills a command after `delay`, if it still runs then.
    fn kill_after(&self, arguments: &str, delay: Duration) {
        let mut child = self.start(arguments);
        sleep(delay);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{arguments}: {status}");
    }

    /// How long a command takes that succeeds.
    fn duration(&self, arguments: &str) -> Duration {
        let start = Instant::now();
        self.succeed(arguments);
        start.elapsed()
    }

    fn temporaries(&self, name: &str) -> usize {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".vae-train-")).count()
    }
}

/// Goes on with a fit in `run`, whatever has become of it, and checks that it comes to the `expected` model.
fn finish(place: &Workplace, expected: &[u8], context: &str) {
    if place.path("run/checkpoint.bin").exists() {
        place.succeed("fit train.csv --out run --resume");
    } else {
        place.succeed(&format!("{FIT} --out run"));
    }
    place.succeed("export run --force --out found.vae");
    assert!(place.bytes("found.vae").unwrap() == expected, "{context}: another model");
    assert_eq!(place.temporaries("run"), 0, "{context}: temporary files are left");
}

/// A finished run, and what is made from it.
fn with_results() -> Workplace {
    let place = Workplace::with_rows();
    for arguments in [&format!("{FIT} --out run"), CALIBRATE, EXPORT, SCORE] {
        place.succeed(arguments);
    }
    place
}

/// Delays that cover a command, those of its end more densely: there it writes.
fn delays(duration: Duration, count: usize, seed: u64) -> impl Iterator<Item = Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(move |_| duration.mul_f64(1.1 * rng.random::<f64>().sqrt()))
}

#[test]
fn a_fit_that_is_killed_goes_on_to_the_very_model() {
    let place = Workplace::with_rows();
    let fit = format!("{FIT} --out run");
    let duration = place.duration(&fit);
    place.succeed("export run --out whole.vae");
    let expected = place.bytes("whole.vae").unwrap();
    let mut states = [0; 3];
    for (index, delay) in delays(duration, 14, 1).enumerate() {
        fs::remove_dir_all(place.path("run")).unwrap();
        place.kill_after(&fit, delay);
        // Half of them are killed a second time, while they go on.
        if index % 2 == 0 && place.path("run/checkpoint.bin").exists() {
            place.kill_after("fit train.csv --out run --resume", delay);
        }
        let state =
            place.path("run/checkpoint.bin").exists() as usize + place.path("run/summary.json").exists() as usize;
        states[state] += 1;
        finish(&place, &expected, &format!("killed after {delay:?}"));
    }
    println!("{states:?} fits were killed before their first checkpoint, before their end, and after it");
}

#[test]
fn what_is_killed_leaves_the_old_output_or_the_new_one() {
    let place = with_results();
    let (model, scores) = (place.bytes("model.vae").unwrap(), place.bytes("scores.csv").unwrap());
    let normal = place.bytes("run/normal.bin").unwrap();
    let old = b"old".to_vec();
    for (verb, output, new) in
        [(EXPORT, "model.vae", &model), (SCORE, "scores.csv", &scores), (CALIBRATE, "run/normal.bin", &normal)]
    {
        let duration = place.duration(verb);
        let mut found = [0; 2];
        for delay in delays(duration, 40, 2) {
            fs::write(place.path(output), &old).unwrap();
            place.kill_after(verb, delay);
            let is = place.bytes(output).unwrap();
            assert!(is == old || is == *new, "{verb}, killed after {delay:?}: {} bytes of {}", is.len(), new.len());
            found[usize::from(is == *new)] += 1;
        }
        println!("{verb}: {found:?} old and new");
        place.succeed(verb);
        assert_eq!(place.bytes(output).as_ref(), Some(new), "{verb}");
        assert_eq!(place.temporaries(".") + place.temporaries("run"), 0, "{verb}: temporary files are left");
    }
}

#[test]
fn a_demo_that_is_killed_leaves_whole_files_and_begins_anew() {
    let place = Workplace::with_rows();
    let demo = "demo --force --out demo";
    let duration = place.duration(demo);
    let results = || files(&place.path("demo"));
    let expected = results();
    for delay in delays(duration, 2, 3) {
        fs::remove_dir_all(place.path("demo")).unwrap();
        place.kill_after(demo, delay);
        fs::create_dir_all(place.path("demo")).unwrap(); // where it did not come so far
        for (path, contents) in files(&place.path("demo")) {
            let Some((_, new)) = expected.iter().find(|(new, _)| *new == path) else { continue };
            // What a fit has learned so far is another length each time.
            let grows =
                ["checkpoint.bin", "metrics.csv", "extras.bin", ".lock"].iter().any(|name| path.ends_with(name));
            assert!(contents == *new || grows, "{} is not whole after {delay:?}", path.display());
        }
    }
    place.succeed(demo);
    for (found, expected) in results().iter().zip(&expected) {
        assert!(found == expected, "{} or {} differs", found.0.display(), expected.0.display());
    }
    assert_eq!(results().len(), expected.len());
}

/// Sizes of files at which a write is cut: below, at and above the sizes of all that a run holds.
fn cuts(place: &Workplace) -> Vec<u64> {
    let mut sizes: Vec<u64> = files(&place.path("run")).iter().map(|(_, contents)| contents.len() as u64).collect();
    sizes.extend([1, place.bytes("model.vae").unwrap().len() as u64, place.bytes("scores.csv").unwrap().len() as u64]);
    let mut cuts: Vec<u64> =
        sizes.into_iter().filter(|size| *size > 0).flat_map(|size| [size / 2, size - 1, size]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Whether files' sizes can be limited here; says on standard error how, if not.
fn can_limit() -> bool {
    let can = Command::new("prlimit").arg("--version").output().is_ok_and(|output| output.status.success());
    if !can {
        skip("needs prlimit, of Debian's package util-linux");
    }
    can
}

#[test]
fn killed_at_any_write_or_refused_it_a_new_fit_leaves_the_old_run_none_or_the_new_one() {
    if !can_limit() {
        return;
    }
    let place = with_results();
    let old = files(&place.path("run"));
    let old_model = place.bytes("model.vae").unwrap();
    let force = format!("{FIT} --seed 1 --out run --force");
    let contents = |name: &str| old.iter().find(|(path, _)| path.ends_with(name)).unwrap().1.clone();
    place.succeed(&force);
    place.succeed("export run --out new.vae");
    let expected = place.bytes("new.vae").unwrap();
    assert!(expected != old_model);
    let mut states = [0; 3];
    for (bytes, kills) in cuts(&place).into_iter().flat_map(|bytes| [(bytes, true), (bytes, false)]) {
        let context = format!("{bytes} bytes, {}", if kills { "killed" } else { "refused" });
        fs::remove_dir_all(place.path("run")).unwrap();
        fs::create_dir(place.path("run")).unwrap();
        old.iter().for_each(|(path, contents)| fs::write(path, contents).unwrap());
        let output = place.limited(&force, bytes, kills);
        match (output.status.success(), kills) {
            (true, _) => {}
            (false, true) => assert!(output.status.signal().is_some(), "{context}: {}", message(&output)),
            (false, false) => {
                let message = message(&output);
                assert!(message.contains("cannot write") && message.contains("File too large"), "{context}: {message}");
                assert_eq!(place.temporaries("run"), 0, "{context}");
            }
        }
        match place.bytes("run/checkpoint.bin") {
            Some(checkpoint) if checkpoint == contents("checkpoint.bin") => {
                states[0] += 1;
                place.succeed(EXPORT);
                assert!(place.bytes("model.vae").unwrap() == old_model, "{context}: the old run is not whole");
            }
            Some(_) => {
                states[2] += 1;
                finish(&place, &expected, &context);
            }
            None => {
                states[1] += 1;
                place.succeed(&format!("{FIT} --seed 1 --out run"));
                finish(&place, &expected, &context);
            }
        }
    }
    println!("{states:?} old runs, none and new ones");
    assert!(states[0] > 0 && states[2] > 0, "{states:?}");
}

#[test]
fn on_a_full_disk_every_verb_says_so_and_leaves_what_was_there() {
    let place = with_results();
    // A disk of its own needs a mount namespace, which containers may not give.
    let script = "set -e; mkdir disk; mount -t tmpfs -o size=512k none disk; cp -r run train.csv model.vae scores.csv disk; cd disk
        before=$(find . -type f ! -name .lock | sort | xargs cksum); dd if=/dev/zero of=full bs=1k 2>/dev/null || true
        for verb in \"$FIT --out run --force\" \"$FIT --out new\" \"$CALIBRATE\" \"$EXPORT\" \"$SCORE\"; do
            status=0; message=$(\"$0\" $verb 2>&1 >/dev/null) || status=$?
            [ $status = 1 ] && grep -q 'No space left' <<<\"$message\" || { echo \"$verb: $status $message\"; exit 1; }
        done
        rm -rf full new; after=$(find . -type f ! -name .lock | sort | xargs cksum)
        [ \"$before\" = \"$after\" ] || { diff <(echo \"$before\") <(echo \"$after\"); exit 1; }";
    let Some(output) = in_namespace(&place, script) else { return };
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), message(&output));
}

/// Runs a bash script where it may mount; says on standard error that this is not possible, where it is not.
fn in_namespace(place: &Workplace, script: &str) -> Option<Output> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(if is_root() { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
        command.args(["bash", "-c", script, BINARY]).current_dir(place.0.path());
        command
    };
    let probe = "mkdir probe && mount -t tmpfs none probe && umount probe && rmdir probe";
    if !unshare(probe).output().is_ok_and(|output| output.status.success()) {
        skip(
            "needs to mount in a namespace of its own: run it as root, or where unshare --mount --map-root-user works",
        );
        return None;
    }
    let verbs = [("FIT", FIT), ("CALIBRATE", CALIBRATE), ("EXPORT", EXPORT), ("SCORE", SCORE)];
    Some(unshare(script).envs(verbs).output().unwrap())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

#[test]
fn a_run_that_cannot_be_written_to_is_still_read() {
    let place = with_results();
    let before = files(&place.path("run"));
    let script = "set -e; mount --bind run run; mount -o remount,bind,ro run
        for verb in \"$FIT --out run --force\" \"$FIT --out run/new\" \"$CALIBRATE\" \"export run --out run/model.vae\"; do
            message=$(\"$0\" $verb 2>&1 >/dev/null) && { echo \"$verb succeeds\"; exit 1; }
            grep -q 'cannot write.*Read-only file system' <<<\"$message\" || { echo \"$verb: $message\"; exit 1; }
        done
        \"$0\" export run --out read.vae";
    let Some(output) = in_namespace(&place, script) else { return };
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), message(&output));
    assert_eq!(files(&place.path("run")), before);
    assert_eq!(place.bytes("read.vae"), place.bytes("model.vae"));
}

#[test]
fn one_process_writes_a_run_and_a_killed_one_does_not_stand_in_the_way() {
    let place = Workplace::with_rows();
    let mut child = place.start(&format!("{ENDLESS} --out run"));
    while !place.path("run/checkpoint.bin").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the fit ended");
        sleep(Duration::from_millis(5));
    }
    let in_use = format!("run is in use by another vae-train, process {}: wait", child.id());
    let attribute = "attribute run train.csv --label a";
    let resume = "fit train.csv --out run --resume";
    for verb in [&format!("{FIT} --out run --force"), resume, CALIBRATE, attribute, "export run --out model.vae"] {
        let message = place.fail(verb);
        assert!(message.contains(&in_use), "{verb}: {message}");
    }
    assert!(place.fail(&format!("{FIT} --out run")).contains("run holds a run"));
    child.kill().unwrap();
    child.wait().unwrap();
    place.succeed("export run --out model.vae");
    place.succeed(CALIBRATE);
}

#[test]
fn of_several_fits_at_once_one_succeeds_and_readers_see_whole_runs() {
    let place = Workplace::with_rows();
    place.succeed(&format!("{FIT} --out run"));
    place.succeed("export run --out whole.vae");
    let expected = place.bytes("whole.vae").unwrap();
    let fit = format!("{FIT} --out run");
    for _ in 0..5 {
        fs::remove_dir_all(place.path("run")).unwrap();
        let fits: Vec<Child> = (0..4).map(|_| place.start(&fit)).collect();
        let outputs: Vec<Output> = fits.into_iter().map(|fit| fit.wait_with_output().unwrap()).collect();
        let refused = |output: &&Output| {
            let message = message(output);
            message.contains("run is in use by another") || message.contains("run holds a run")
        };
        let succeeded = outputs.iter().filter(|output| output.status.success()).count();
        assert_eq!((succeeded, outputs.iter().filter(refused).count()), (1, 3), "{outputs:?}");
        place.succeed("export run --force --out model.vae");
        assert!(place.bytes("model.vae").unwrap() == expected);
    }
    place.succeed(CALIBRATE);
    place.succeed("export run --out calibrated.vae");
    let calibrated = place.bytes("calibrated.vae").unwrap();
    let replace = format!("{FIT} --out run --force");
    for round in 0..10 {
        let verbs = [CALIBRATE, "export run --force --out a.vae", "export run --force --out b.vae", &replace];
        let started: Vec<Child> = verbs.iter().map(|verb| place.start(verb)).collect();
        for (verb, child) in verbs.iter().zip(started) {
            let output = child.wait_with_output().unwrap();
            let message = message(&output);
            let refused = message.contains("is in use by another") || message.contains("is being read by another");
            assert!(output.status.success() || refused, "round {round}, {verb}: {message}");
        }
        // The same fit, calibrated or not, and nothing between.
        for model in ["a.vae", "b.vae"].into_iter().filter_map(|name| place.bytes(name)) {
            assert!(model == expected || model == calibrated, "round {round}");
        }
    }
}

#[test]
fn outputs_and_inputs_that_are_no_files_are_refused() {
    let place = with_results();
    fs::create_dir(place.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    let before = files(&place.path("run"));
    for (arguments, expected) in [
        ("score model.vae train.csv --out folder --force", "folder is a directory"),
        ("export run --out folder --force", "folder is a directory"),
        ("score model.vae train.csv --out pipe --force", "pipe is no ordinary file"),
        ("export run --out /dev/null --force", "/dev/null is no ordinary file"),
        ("score model.vae train.csv --out train.csv/scores.csv", "train.csv is a file, not a directory"),
        ("fit train.csv --out train.csv", "train.csv is a file"),
        ("fit train.csv --out train.csv/run", "train.csv is a file, not a directory"),
        ("fit folder --out new", "folder"),
        ("score model.vae folder --out new.csv", "folder"),
        ("score folder train.csv --out new.csv", "folder"),
    ] {
        let message = place.fail(arguments);
        assert!(message.contains(expected) && !message.contains("panicked"), "{arguments}: {message}");
    }
    assert!(!place.path("new").exists() && !place.path("new.csv").exists());
    assert_eq!(files(&place.path("run")), before);
    place.succeed("score model.vae train.csv --out made/on/the/way.csv");

    // The data go, the run stays.
    fs::rename(place.path("train.csv"), place.path("moved.csv")).unwrap();
    assert!(place.fail("fit train.csv --out run --resume").contains("cannot read train.csv"));
    place.succeed("export run --force --out model.vae");
    place.succeed("fit moved.csv --out run --resume");
}
