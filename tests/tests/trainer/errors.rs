//! Every error that the command line can be driven to: it names the place, carries the numbers, says what to do, has the right exit code,
//! and leaves everything as it was.

use std::fs;

use crate::workplace::{Workplace, files};

impl Workplace {
    fn copy(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to)).unwrap();
        for entry in fs::read_dir(self.path(from)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, self.path(to).join(path.file_name().unwrap())).unwrap();
        }
    }

    /// A file of a copied run, damaged.
    fn damage(&self, run: &str, file: &str) {
        self.copy("run", run);
        let path = self.path(run).join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(path, bytes).unwrap();
    }
}

/// 400 rows of three columns and a condition, with a label.
fn table(faulty: bool) -> String {
    let noise = |i: usize, k: usize| ((i * 7919 + k * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let mut text = String::from("a,b,c,speed,label\n");
    for i in 0..400 {
        let t = 4.0 * noise(i, 1);
        let fault = faulty && i % 4 == 0;
        let b = 2.0 * t + 0.1 * noise(i, 2) + if fault { 1.5 } else { 0.0 };
        text += &format!("{t},{b},{},{},{}\n", 5.0 - t + 0.1 * noise(i, 3), i % 3, usize::from(fault));
    }
    text
}

fn workplace() -> Workplace {
    let place = Workplace(tempfile::tempdir().unwrap());
    let good = table(false);
    place.write("train.csv", &good);
    place.write("test.csv", table(true));
    let rows: Vec<&str> = good.lines().collect();
    let with = |line: usize, text: &str| {
        let mut rows = rows.clone();
        rows[line] = text;
        rows.join("\n") + "\n"
    };
    let fill = |header: &str, row: &dyn Fn(usize) -> String| {
        (0..40).fold(format!("{header}\n"), |text, i| text + &row(i) + "\n")
    };
    let held: Vec<&str> = rows[..1].iter().chain(rows[1..].iter().rev()).copied().collect();
    for (name, contents) in [
        ("held.csv", held.join("\n")),
        ("empty.csv", String::new()),
        ("header-only.csv", "a,b\n".into()),
        ("no-header.csv", rows[1..].join("\n")),
        ("twins.csv", with(0, "a,b,b,speed,label")),
        ("multi-line-name.csv", with(0, "a,\"b\nb\",c,speed,label")),
        ("ragged.csv", with(7, "1,2,3")),
        ("words.csv", with(7, "1,two,3,0,0")),
        ("infinite.csv", with(7, "1,inf,3,0,0")),
        ("bad-label.csv", with(7, "1,2,3,0,maybe")),
        ("no-condition.csv", with(7, "1,2,3,,0")),
        ("all-faulty.csv", fill("a,label", &|i| format!("{},1", i % 7))),
        ("all-normal.csv", rows[..100].join("\n")),
        ("few.csv", rows[..8].join("\n")),
        ("some.csv", rows[..50].join("\n")),
        ("constant.csv", fill("a,b", &|_| "3,4".into())),
        ("huge.csv", fill("a,b", &|i| format!("{},{}", i % 7, 2e37 * (i % 5) as f64))),
        ("only-label.csv", fill("label", &|_| "0".into())),
        ("wrong-columns.csv", fill("x,y", &|i| format!("{i},{}", i * i % 7))),
        ("bits.csv", fill("a,b", &|i| format!("{},{}", i % 2, i / 2 % 2))),
        ("text.vae", "this is no model, but it is long enough to look like one: ".repeat(10)),
    ] {
        place.write(name, contents);
    }
    place.write("no-idx", b"\x00\x00\x0D\x02rest");
    place.write("labels.idx", b"\x00\x00\x08\x01\x00\x00\x00\x01\x05");
    place.write("short.idx", b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02\x01");
    place.write("cut.idx", b"\x00\x00\x08\x03\x00\x00");
    place.write("broken.gz", b"\x1F\x8B\x08nonsense");
    for (name, contents) in [
        ("unknown.toml", "epoch = 3"),
        ("syntax.toml", "epochs = \n"),
        ("false-alarms.toml", "false_alarms = 2.0"),
        ("variance.toml", "variance = 1e9"),
        ("type.toml", "hidden = 16"),
    ] {
        place.write(name, contents);
    }
    place.succeed("fit train.csv --out run --epochs 3 --hidden 8 --latent 2 --batch 32");
    place.succeed("export run --out model.vae --force");
    place.succeed("fit train.csv --out given --condition speed --epochs 2 --hidden 8 --latent 2 --batch 32");
    place.succeed("export given --out given.vae --force");
    place.succeed("fit train.csv --out windows --window 32 --hop 4 --front-end statistics --epochs 2 --hidden 8");
    place.succeed("export windows --out windows.vae --force");
    let model = fs::read(place.path("model.vae")).unwrap();
    place.write("cut.vae", &model[..model.len() / 2]);
    let mut flipped = model.clone();
    flipped[model.len() / 2] ^= 0x10;
    place.write("flipped.vae", flipped);
    let mut newer = model;
    newer[4] = 99;
    place.write("newer.vae", newer);
    place.succeed("attribute run test.csv --label label --name fault");
    for (run, file) in
        [("bad-checkpoint", "checkpoint.bin"), ("bad-holdout", "holdout.safetensors"), ("bad-extras", "extras.bin")]
    {
        place.damage(run, file);
    }
    place.copy("run", "no-holdout");
    fs::remove_file(place.path("no-holdout/holdout.safetensors")).unwrap();
    place.copy("run", "old");
    let checkpoint = fs::read(place.path("old/checkpoint.bin")).unwrap();
    place.write("old/checkpoint.bin", [&[1], &checkpoint[1..]].concat());
    place.copy("run", "bad-normal");
    place.write("bad-normal/normal.bin", [checkpoint[0], 1, 2]);
    fs::create_dir(place.path("folder")).unwrap();
    place.write("folder/notes.txt", "mine");
    place
}

/// Wrong usage: exit code 2.
const WRONG_USAGE: &[(&str, &[&str])] = &[
    ("", &["Usage: vae-train"]),
    ("fti train.csv", &["unrecognized subcommand 'fti'", "--help"]),
    ("fit train.csv", &["--out <OUT>"]),
    ("fit train.csv --out new --widow 8", &["--widow", "'--window'"]),
    ("fit train.csv --out new --window eight", &["'eight'", "--window"]),
    ("fit train.csv --out new --window -1", &["-1"]),
    ("fit train.csv --out new --activation step", &["'step'", "silu"]),
    ("fit train.csv --out new --likelihood poisson", &["'poisson'", "bernoulli"]),
    ("fit train.csv --out new --posterior wide", &["'wide'", "diagonal"]),
    ("fit train.csv --out new --resume --force", &["--resume", "--force"]),
    ("fit train.csv --out new --seed x", &["--seed"]),
    ("calibrate run", &["--normal"]),
    ("calibrate run --normal train.csv --alarms 1/fortnight", &["1/fortnight", "per hour, day, week, month or year"]),
    ("calibrate run --normal train.csv --alarms 0/week", &["0/week", "above 0"]),
    ("calibrate run --normal train.csv --alarms often", &["often", "1/week"]),
    ("calibrate run --normal train.csv --alarms NaN/week", &["NaN/week", "above 0"]),
    ("calibrate run --normal train.csv --alarms inf/month", &["inf/month", "above 0"]),
    ("calibrate run --normal train.csv --alarms=-1/month", &["-1/month", "above 0"]),
    ("calibrate run --normal train.csv --alarms 1e-44/year", &["1e-44/year", "above 0"]),
    ("calibrate run --normal train.csv --rate 0", &["`0` is not a positive number"]),
    ("calibrate run --normal train.csv --rate fast", &["`fast` is not a positive number"]),
    ("calibrate run --normal train.csv --rate NaN", &["`NaN` is not a positive number"]),
    ("calibrate run --normal train.csv --rate inf", &["`inf` is not a positive number"]),
    ("calibrate run --normal train.csv --rate=-1", &["`-1` is not a positive number"]),
    ("calibrate run --normal train.csv --rate 1e300", &["`1e300` is beyond the range of 32-bit numbers"]),
    ("calibrate run --normal train.csv --votes 4/3", &["4/3: give m/n", "32"]),
    ("calibrate run --normal train.csv --votes 0/0", &["0/0: give m/n", "1 ≤ m ≤ n ≤ 32"]),
    ("calibrate run --normal train.csv --precision int4", &["'int4'", "f32"]),
    ("inspect train.csv --force", &["--rate"]),
    ("calibrate run --normal train.csv --votes 2", &["'2'", "m/n, as in 2/3"]),
    ("calibrate run --normal train.csv --range a", &["'a'", "channel=least:largest"]),
    ("calibrate run --normal train.csv --range a=5:1", &["a=5:1", "must be below"]),
    ("calibrate run --normal train.csv --score samples:0", &["samples:0", "from 1 to 100000"]),
    ("calibrate run --normal train.csv --score best", &["best", "importance:K"]),
    ("export run --out new.vae --precision int4", &["'int4'", "int8, f32"]),
    ("score model.vae test.csv", &["--out"]),
    ("score model.vae test.csv --out new.csv --samples 0", &["0", "1..=1000000"]),
    ("evaluate model.vae test.csv --binarise", &["--likelihood"]),
    ("generate model.vae --out new.csv -n 0", &["0", "1..=1000000"]),
    ("generate model.vae --out new.csv --like test.csv --from aggregate", &["--like", "--from"]),
    ("generate model.vae --out new.csv --from nowhere", &["'nowhere'", "second-stage"]),
    ("diff model.vae given.vae --label label", &["--data"]),
    ("simulate engine --out data", &["'engine'", "motor"]),
    ("simulate ring --out data --rows 0", &["0", "1..=2000000000"]),
    ("inspect train.csv --rate none", &["none"]),
    ("watch", &["<SOURCE>"]),
    ("watch - --baud fast", &["'fast'", "--baud"]),
    ("watch - --force", &["--out"]),
    ("record - --for 10m", &["--out"]),
    ("record - --out new.csv --for 10", &["\"10\" is no time", "90s, 10m, 1.5h or 2d"]),
];

/// What fails: exit code 1.
const FAILURES: &[(&str, &[&str])] = &[
    // Tables.
    ("fit missing.csv --out new", &["missing.csv", "No such file"]),
    ("fit folder --out new", &["folder is a directory", "name of a file (CSV"]),
    ("fit - --out new", &["standard input is empty", "header line is needed"]),
    ("fit /dev/null --out new", &["/dev/null is empty", "header line is needed"]),
    ("fit empty.csv --out new", &["empty.csv is empty", "header line is needed"]),
    ("fit header-only.csv --out new", &["header-only.csv has a header and no rows"]),
    ("fit no-header.csv --out new", &["no-header.csv", "the first line holds the number", "add a header line"]),
    ("fit twins.csv --out new", &["twins.csv", "two columns are named `b`", "rename one"]),
    ("fit multi-line-name.csv --out new", &["multi-line-name.csv", "b\\nb", "spans lines"]),
    ("fit ragged.csv --out new", &["ragged.csv: row 7 (line 8) has 3 fields where the header has 5", "mend or remove"]),
    ("fit words.csv --out new", &["words.csv: row 7 (line 8)", "column `b`", "`two`"]),
    ("fit infinite.csv --out new", &["infinite.csv: row 7 (line 8)", "column `b`", "`inf`"]),
    (
        "fit bad-label.csv --out new",
        &[
            "bad-label.csv: row 7 (line 8), column `label`",
            "`maybe`",
            "0 (normal) or 1 (anomaly)",
            "give --anomaly-label maybe",
        ],
    ),
    ("fit train.csv --label fault --out new", &["train.csv has no column `fault`", "`a`, `b`, `c`, `speed`, `label`"]),
    ("fit only-label.csv --out new", &["only-label.csv has no column of data beside its label"]),
    ("fit all-faulty.csv --out new", &["all-faulty.csv: every row is labelled 1", "labelled 0"]),
    ("fit few.csv --out new", &["few.csv: 7 normal row(s)", "at least 10"]),
    ("fit constant.csv --out new", &["constant.csv: every column is constant or empty", "40 normal row(s)"]),
    ("fit huge.csv --out new", &["huge.csv: column `b`", "rescale or remove it"]),
    ("fit no-idx --out new", &["no-idx is not text", "CSV"]),
    ("fit labels.idx --out new", &["labels.idx has 1 dimension(s)", "at least two"]),
    ("fit short.idx --out new", &["short.idx: sizes [2, 2, 2] need 8 bytes and there are 1"]),
    ("fit cut.idx --out new", &["cut.idx is truncated", "3 sizes take 12 bytes", "2"]),
    ("fit broken.gz --out new", &["broken.gz is damaged", "gzip"]),
    // What is asked of a fit.
    ("fit some.csv --out new --window 64", &["some.csv: a window of 64 samples", "49 rows", "shorter --window"]),
    ("fit train.csv --out new --window 390", &["train.csv", "leave", "at least 10", "shorter --hop"]),
    ("fit train.csv --out new --window 0", &["window is 0", "at least 1"]),
    ("fit train.csv --out new --window 8 --hop 0", &["hop is 0", "at least 1"]),
    ("fit train.csv --out new --epochs 0", &["epochs is 0", "at least 1"]),
    ("fit train.csv --out new --patience 0", &["patience is 0", "at least 1"]),
    ("fit train.csv --out new --batch 0", &["batch is 0", "at least 1"]),
    ("fit train.csv --out new --samples 0", &["samples is 0", "at least 1"]),
    ("fit train.csv --out new --latent 0", &["latent is 0", "at least 1"]),
    ("fit train.csv --out new --hidden 8,0", &["width 0"]),
    ("fit train.csv --out new --learning-rate 2", &["learning rate 2", "between 0 and 1"]),
    ("fit train.csv --out new --validation 0.95", &["validation 0.95", "at most 0.9"]),
    ("fit train.csv --out new --validation 0", &["validation 0", "above 0"]),
    ("fit train.csv --out new --beta=-1", &["beta -1", "0 or more"]),
    ("fit train.csv --out new --free-bits=-1", &["free_bits -1", "0 or more"]),
    ("fit train.csv --out new --input-noise=-1", &["input_noise -1", "0 or more"]),
    ("fit train.csv --out new --drift=-1", &["drift -1", "0 or more"]),
    ("fit train.csv --out new --prior 2000", &["prior 2000", "at most 1024"]),
    ("fit train.csv --out new --prior 4 --posterior bernoulli", &["learned prior", "leave out --prior"]),
    ("fit train.csv --out new --prior 4 --free-bits 0.1", &["learned prior", "leave out --prior"]),
    (
        "fit train.csv --out new --estimator score-function --samples 2 --posterior full",
        &["score-function", "leave out --estimator"],
    ),
    ("fit train.csv --out new --estimator reparameterised --posterior bernoulli", &["leave out --estimator"]),
    ("fit train.csv --out new --objective importance --samples 4 --beta 2", &["beta", "leave them out"]),
    ("fit train.csv --out new --binarise dynamic", &["--likelihood bernoulli"]),
    ("fit train.csv --out new --posterior bernoulli --mixture 4", &["Bernoulli latents", "leave out --mixture"]),
    ("fit train.csv --out new --posterior categorical --second-stage", &["nor categorical", "leave out --mixture"]),
    ("fit train.csv --out new --posterior categorical --prior 4", &["learned prior", "leave out --prior"]),
    ("fit train.csv --out new --posterior categorical --objective importance", &["ELBO", "leave out --estimator"]),
    (
        "fit train.csv --out new --posterior categorical --latent 6 --categories 4",
        &["--latent 6 is no multiple of --categories 4", "2 have a --latent of 8"],
    ),
    ("fit train.csv --out new --posterior categorical --latent 1", &["1 categories of a latent", "at least 2"]),
    ("fit train.csv --out new --posterior categorical --categories 0", &["0 categories", "at least 2"]),
    ("fit train.csv --out new --categories 4", &["leave out --categories", "--posterior categorical"]),
    (
        "fit train.csv --out new --posterior categorical --latent 20 --categories 4 --estimator enumeration",
        &["at most 256", "5 latents of 4 states have 4^5", "--estimator score-function"],
    ),
    (
        "fit train.csv --out new --posterior bernoulli --latent 9 --estimator enumeration",
        &["9 latents of 2 states have 2^9", "give fewer (--latent)"],
    ),
    ("fit train.csv --out new --estimator enumeration", &["Bernoulli or categorical", "leave out --estimator"]),
    (
        "fit train.csv --out new --posterior bernoulli --estimator enumeration --samples 4",
        &["instead of samples", "leave out --samples"],
    ),
    ("fit train.csv --out new --mixture 1000 --epochs 1", &["mixture of 1000 components", "--mixture"]),
    (
        "fit train.csv --out new --likelihood bernoulli",
        &["train.csv: row ", "column `b`", "between 0 and 1", "--likelihood gaussian"],
    ),
    ("fit bits.csv --out new --likelihood bernoulli --drift 1", &["leave out --drift"]),
    ("fit bits.csv --out new --likelihood bernoulli --window 16 --front-end mean", &["leave out --front-end"]),
    ("fit train.csv --out new --condition load", &["train.csv", "`load`", "`a`, `b`, `c`, `speed`"]),
    ("fit train.csv --out new --condition a,b,c,speed", &["every column is a condition", "--condition"]),
    ("fit no-condition.csv --out new --condition speed", &["condition is missing in row 7", "speed"]),
    ("fit train.csv --out new --window 16 --front-end loudness", &["`loudness` is no front-end", "bands:N"]),
    ("fit train.csv --out new --window 24 --front-end bands:4", &["24 samples", "power of two"]),
    ("fit train.csv --out new --window 16 --front-end q=mean", &["`q`", "`a`, `b`, `c`"]),
    ("fit train.csv --out new --device gpu", &["no device `gpu`", "flex, wgpu, cuda"]),
    ("fit train.csv --out new --device flex,", &["no device ``", "flex, wgpu, cuda"]),
    ("fit train.csv --out new --device flex,cuda:1", &["no device `cuda:1`", "--features cuda"]),
    ("fit train.csv --out new --device flex,flex --free-bits 0.5", &["--free-bits", "one device"]),
    ("fit train.csv --out new --device flex,ws://127.0.0.1:9", &["--features remote"]),
    ("fit train.csv --out new --config missing.toml", &["cannot read missing.toml", "No such file"]),
    ("fit train.csv --out new --config unknown.toml", &["unknown.toml", "unknown field `epoch`", "epochs"]),
    ("fit train.csv --out new --config syntax.toml", &["syntax.toml", "line 1"]),
    ("fit train.csv --out new --config type.toml", &["type.toml", "hidden", "sequence"]),
    ("fit train.csv --out new --config false-alarms.toml", &["false_alarms 2", "between 0 and 1"]),
    ("fit train.csv --out new --config variance.toml", &["variance 1000000000", "1e-6 to 100"]),
    // Run directories.
    ("fit train.csv --out run", &["run holds a run", "--resume", "--force"]),
    ("fit train.csv --out folder", &["folder is not empty and holds no run", "--force"]),
    ("fit train.csv --out train.csv", &["train.csv is a file", "run directory"]),
    ("fit train.csv --out train.csv/new", &["train.csv is a file, not a directory", "train.csv/new"]),
    ("fit train.csv --out new --resume", &["new holds no run", "vae-train fit"]),
    (
        "fit train.csv --out run --resume --epochs 9",
        &["--resume takes the configuration of the run", "no other settings"],
    ),
    (
        "fit test.csv --out run --resume",
        &["test.csv is not what the run in run was started with", "same file", "--force"],
    ),
    ("export nowhere --out new.vae", &["nowhere holds no run", "vae-train fit DATA --out nowhere"]),
    ("export bad-checkpoint --out new.vae", &["bad-checkpoint/checkpoint.bin is damaged", "fit again"]),
    ("export old --out new.vae", &["old/checkpoint.bin", "another version", "fit again"]),
    ("export bad-holdout --out new.vae", &["bad-holdout/holdout.safetensors cannot be read", "fit again"]),
    (
        "export no-holdout --out new.vae",
        &["no-holdout/holdout.safetensors cannot be read", "fit again", "No such file"],
    ),
    ("export bad-extras --out new.vae", &["bad-extras/extras.bin is damaged", "fit again"]),
    ("export bad-normal --out new.vae", &["bad-normal/normal.bin is damaged", "calibrate again"]),
    ("export run --out model.vae", &["model.vae exists", "another name", "--force"]),
    ("export run --out folder", &["folder", "is a directory", "name of a file"]),
    ("export run --out new.vae --safetensors model.vae", &["model.vae exists", "--force"]),
    (
        "export run --out new.vae --safetensors ./folder/../new.vae --force",
        &["--out new.vae", "--safetensors ./folder/../new.vae", "the same file", "another name"],
    ),
    ("export run --out none/new.vae --safetensors ./none//new.vae", &["the same file", "another name"]),
    ("export run --out new.vae --c-array new.h --rust new.h", &["--c-array new.h and --rust new.h", "the same file"]),
    ("export run --out new.vae --c-array train.csv", &["train.csv exists", "--force"]),
    ("export run --out train.csv/new.vae", &["train.csv is a file, not a directory", "train.csv/new.vae"]),
    // Calibration.
    (
        "calibrate run --normal train.csv",
        &[
            "train.csv is what the model was trained on (crc32 ",
            ", 400 rows)",
            "more frequent than asked for",
            "give normal data",
            "--force",
        ],
    ),
    ("calibrate nowhere --normal train.csv", &["nowhere holds no run", "vae-train fit"]),
    ("calibrate run --normal missing.csv", &["missing.csv", "No such file"]),
    (
        "calibrate run --normal wrong-columns.csv",
        &["wrong-columns.csv lacks 4 of the model's 4 columns", "`a`, `b`, `c`, `speed`", "`x`, `y`"],
    ),
    ("calibrate run --normal few.csv --alarms 1/day --rate 1", &["few.csv", "7 windows", "too few", "at least"]),
    ("calibrate run --normal all-faulty.csv", &["all-faulty.csv lacks"]),
    ("calibrate windows --normal few.csv", &["few.csv: a window of 32 samples", "7 rows", "more data"]),
    ("calibrate run --normal held.csv --alarms 1/year --rate 10", &["held.csv", "400 windows", "too few"]),
    ("calibrate run --normal held.csv --range q=0:1", &["no channel `q`", "`a`, `b`, `c`, `speed`"]),
    (
        "calibrate run --normal held.csv --range a=-9:9 --range b=0:1 --range a=-8:8",
        &["channel `a` twice, as -9 to 9 and as -8 to 8", "give it once"],
    ),
    ("calibrate run --normal held.csv --range a=0:0.1", &["held.csv", "channel `a`", "outside its --range 0 to 0.1"]),
    ("calibrate run --normal held.csv --label fault", &["held.csv has no column `fault`"]),
    // Models and the data that they score.
    ("info missing.vae", &["cannot read missing.vae", "No such file"]),
    ("info text.vae", &["text.vae cannot be used as a model", "export it again", "not a model file"]),
    ("info empty.csv", &["empty.csv cannot be used as a model"]),
    ("info cut.vae", &["cut.vae cannot be used as a model", "bytes"]),
    ("info flipped.vae", &["flipped.vae cannot be used as a model", "checksum"]),
    ("info newer.vae", &["newer.vae cannot be used as a model", "version 99"]),
    ("score model.vae missing.csv --out new.csv", &["missing.csv", "No such file"]),
    (
        "score model.vae wrong-columns.csv --out new.csv",
        &["wrong-columns.csv lacks 4 of the model's 4 columns", "`a`, `b`, `c`, `speed`", "`x`, `y`"],
    ),
    ("score model.vae words.csv --out new.csv", &["words.csv: row 7 (line 8)", "column `b`", "`two`"]),
    ("score model.vae test.csv --out train.csv", &["train.csv exists", "--force"]),
    (
        "score model.vae test.csv --out train.csv/new.csv",
        &["train.csv is a file, not a directory", "train.csv/new.csv"],
    ),
    ("score model.vae test.csv --label fault --out new.csv", &["test.csv has no column `fault`"]),
    ("score windows.vae few.csv --out new.csv", &["few.csv: a window of 32 samples", "7 rows"]),
    ("score given.vae no-condition.csv --out new.csv", &["no-condition.csv: row 7", "condition `speed` is missing"]),
    ("evaluate model.vae test.csv --label fault", &["test.csv has no column `fault`"]),
    (
        "evaluate model.vae all-normal.csv",
        &["all-normal.csv", "0 windows are labelled 1 and 99 are labelled 0", "both"],
    ),
    ("evaluate given.vae test.csv --likelihood --train train.csv", &["--train", "leave it out"]),
    ("diff model.vae missing.vae", &["cannot read missing.vae"]),
    ("diff model.vae given.vae", &["channels differ", "model.vae", "given.vae", "vae-train evaluate"]),
    ("diff model.vae windows.vae", &["windows of 1 samples", "32", "vae-train evaluate"]),
    ("diff model.vae model.vae --data wrong-columns.csv", &["wrong-columns.csv lacks"]),
    // Generation and attributes.
    ("generate given.vae --out new.csv", &["conditional on `speed`", "--condition name=value"]),
    ("generate given.vae --out new.csv --condition load=1", &["no condition `load`", "speed"]),
    ("generate given.vae --out new.csv --condition speed=fast", &["--condition speed=fast", "`fast` is not a number"]),
    ("generate given.vae --out new.csv --condition speed", &["--condition speed", "give name=value"]),
    ("generate model.vae --out new.csv --attribute load", &["`load`", "attributes: none", "vae-train attribute"]),
    ("generate model.vae --out new.csv --from aggregate", &["aggregated posterior", "--mixture 8"]),
    ("generate model.vae --out new.csv --from second-stage", &["second stage", "--second-stage"]),
    ("generate model.vae --out new.png --like missing.csv", &["missing.csv"]),
    ("generate windows.vae --out new.csv", &["features of the samples", "without --front-end"]),
    ("generate given.vae --out new.png --condition speed=1", &["3 features are not a square image", ".csv"]),
    ("generate model.vae --out train.csv", &["train.csv exists", "--force"]),
    ("attribute run test.csv --label nothing", &["test.csv has no column `nothing`"]),
    ("attribute run test.csv --label label --name fault", &["has an attribute `fault`", "another --name", "--force"]),
    (
        "attribute run train.csv --label label",
        &["train.csv: 0 windows are labelled 1 by `label` and 400 are labelled 0", "both kinds"],
    ),
    // The rest.
    ("simulate motor --out data --seconds 0", &["--seconds 0", "1 to 100000"]),
    ("simulate ring --out train.csv", &["train.csv is a file, not a directory"]),
    ("demo --out train.csv", &["train.csv is a file, not a directory"]),
    ("inspect missing.csv", &["missing.csv", "No such file"]),
    ("inspect header-only.csv", &["header-only.csv has a header and no rows"]),
    (
        "watch no-such-port",
        &["no-such-port cannot be opened as a serial port at 115200 bits a second", "this machine has"],
    ),
    ("watch -", &["standard input: no verdict in 0 line(s)", "as in `12.00 s  normal"]),
    ("watch - --elf text.vae --out new.csv", &["text.vae", "not an ELF file"]),
    ("watch - --model cut.vae --out new.csv", &["cut.vae cannot be used as a model"]),
    ("watch - --out train.csv", &["train.csv exists", "--force"]),
    ("record - --out new.csv", &["standard input: no frame of samples: nothing has come at all", "docs/record.md"]),
    ("record - --out train.csv", &["train.csv exists", "--force"]),
    ("record - --out new.txt", &["new.txt", ".csv, .wav or .parquet"]),
];

#[test]
fn every_error_says_where_and_what_to_do_and_leaves_nothing_behind() {
    let place = workplace();
    let mut before = files(place.0.path());
    let mut wrong = Vec::new();
    let cases = WRONG_USAGE.iter().map(|case| (2, case)).chain(FAILURES.iter().map(|case| (1, case)));
    for (code, (arguments, parts)) in cases {
        let output = place.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut complaints = Vec::new();
        if output.status.code() != Some(code) {
            complaints.push(format!("exit code {:?}, not {code}", output.status.code()));
        }
        if !output.stdout.is_empty() {
            complaints.push("something on standard output".to_owned());
        }
        if message.contains("panicked")
            || (code == 1 && message.lines().filter(|line| line.starts_with("error: ")).count() != 1)
        {
            complaints.push("not one error".to_owned());
        }
        // clap breaks lines, and notes of what was done before are not the error.
        let error = message.split_once("error: ").map_or(&message[..], |(_, error)| error);
        complaints.extend(parts.iter().filter(|part| !error.contains(**part)).map(|part| format!("no {part:?}")));
        let after = files(place.0.path());
        if after != before {
            complaints.push("files were left behind or changed".to_owned());
            before = after;
        }
        println!("{arguments}\n    {}", message.trim_end());
        if !complaints.is_empty() {
            wrong.push(format!("{arguments}\n    {}\n    {}", message.trim_end(), complaints.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WRONG_USAGE.len() + FAILURES.len(), wrong.join("\n"));
}
