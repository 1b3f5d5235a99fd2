//! Files, names and texts that somebody has made to harm: nothing is written that is not ours, nothing foreign commands a terminal or a
//! spreadsheet, and nothing fills the memory.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation,
    format::{LikelihoodKind, Precision},
};
use vae_tests::{plain_model, random_layer};
use vae_train::weights::attribute::Attribute;

use crate::workplace::{BINARY, Workplace, message};

/// The clipboard of a terminal (OSC 52), a colour by C1, a line that is printed over, DEL, and a text that is turned around.
const COMMANDS: &str = "\u{1b}]52;c;aGk=\u{7}\u{9b}31m\rx\u{7f}\u{202e}\u{2066}y";

const FIT: &str = "fit train.csv --epochs 2 --batch 32 --hidden 8 --latent 2";

impl Workplace {
    /// 400 rows of three dependent columns of these names, and a label, as `train.csv`; `test.csv` has anomalies.
    fn with_columns(names: [&str; 3]) -> Self {
        let place = Self::new();
        let quoted = names.map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (name, faulty) in [("train.csv", false), ("test.csv", true)] {
            let mut table = format!("{},label\n", quoted.join(","));
            for row in 0..400 {
                let [t, b, c]: [f32; 3] = [(); 3].map(|()| rng.random_range(-1.0..1.0));
                let anomaly = faulty && row % 4 == 0;
                let b = 2.0 * t + 0.1 * b + if anomaly { 3.0 } else { 0.0 };
                table += &format!("{t},{b},{},{}\n", 5.0 - t + 0.1 * c, u8::from(anomaly));
            }
            place.write(name, table);
        }
        place
    }

    /// Runs the trainer with arguments that may hold anything, and this on its standard input.
    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.0.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input); // who does not read it ends before
        child.wait_with_output().unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// A model file whose card is full of commands.
fn hostile_model() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let encoder = vec![random_layer(&mut rng, 4, 3, Activation::Identity, 1.0)];
    let decoder = vec![random_layer(&mut rng, 3, 2, Activation::Identity, 1.0)];
    let mut file = plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 1.0);
    file.precision = Precision::F32;
    file.channels = ["a", "b", "c"].map(|name| format!("{name}{COMMANDS}")).to_vec();
    file.data = format!("{COMMANDS}\nnote: all is well");
    file.metrics = vec![format!("{COMMANDS} elbo 1")];
    file.attributes = vec![Attribute { name: format!("{COMMANDS}\nerror: no"), direction: vec![1.0, 0.0] }];
    file.to_bytes().unwrap()
}

#[test]
fn nothing_from_outside_commands_the_terminal() {
    let names = ["a", "b", "c"].map(|name| format!("{name}{COMMANDS}"));
    let place = Workplace::with_columns([&names[0], &names[1], &names[2]]);
    let words = |name: &str, header: &str, field: &str| {
        place.write(name, format!("{header}\n") + &format!("1,\"{field}\",3,0\n").repeat(40));
    };
    words("fields.csv", "a,b,c,label", &format!("{COMMANDS}\nnote: all is well"));
    words("label.csv", "a,label,c,d", COMMANDS);
    words("twins.csv", &format!("\"{COMMANDS}\",\"{COMMANDS}\",c,label"), "2");
    words("number.csv", "a,1\u{85},c,label", "2");
    words("clock.csv", &format!("\"time {COMMANDS}\",b,c,label"), "2");
    place.write("broken.toml", format!("epochs = 3\n{COMMANDS} = 4\n"));
    place.write("unknown.toml", "\"\\u001b]52;c;aGk=\\u0007\\u009b\\u202e\" = 4\n");
    place.write("card.vae", hostile_model());
    place.write("array.npz", zipped(&[(&format!("x{COMMANDS}"), &npy("<f4", "(2, 2)")), ("z", &npy("<f4", "(2, 2)"))]));
    place.write("type.npy", npy(&format!("<M8{COMMANDS}"), "(2, 2)"));
    let file = format!("f{COMMANDS}.csv");
    fs::copy(place.path("train.csv"), place.path(&file)).unwrap();
    let log = format!(
        "boot {COMMANDS} on\nnormal 1.0 nats, p = 1.2 \u{202e}\u{7f}\nnormal 1.0 nats, p = 0.5\nANOMALOUS     114.554 nats, p = 7.1e-17, channel 1 \
         costs 211.4, feature 1 costs 33.0\n\u{90}1$r\u{9c}\u{202d}\u{2069}\u{1b}\u{1b}]52;c;aGk="
    );

    let own = |arguments: &str| {
        arguments
            .split_whitespace()
            .map(|word| word.replace("NAME", &names[0]).replace("FILE", &file))
            .collect::<Vec<_>>()
    };
    let mut printed = 0;
    for (code, arguments) in [
        (0, "inspect train.csv"),
        (0, "inspect train.csv --json"),
        (0, "inspect FILE"),
        (0, "inspect fields.csv"),
        (0, "inspect fields.csv --json"),
        (1, "inspect label.csv"),
        (1, "inspect twins.csv"),
        (0, "inspect clock.csv"),
        (1, "inspect number.csv --label NAME"),
        (1, "inspect none-FILE"),
        (1, "inspect array.npz"),
        (1, "inspect array.npz:NAME"),
        (1, "inspect type.npy"),
        (2, "inspect train.csv --NAME"),
        (2, "NAME"),
        (1, "fit fields.csv --out words"),
        (1, "fit train.csv --out words --ignore NAMEx"),
        (1, "fit train.csv --out words --condition NAMEx"),
        (1, "fit train.csv --out words --config broken.toml"),
        (1, "fit train.csv --out words --config unknown.toml"),
        (1, "fit train.csv --out words --config FILE"),
        (0, "fit FILE --out run --epochs 2 --batch 32 --hidden 8 --latent 2"),
        (1, "fit FILE --out run --epochs 2"),
        (0, "attribute run test.csv --label label --name NAME"),
        (1, "attribute run test.csv --label label --name NAME"),
        (1, "attribute run test.csv --label NAME"),
        (0, "calibrate run --normal test.csv --range NAME=-9:9 --votes 1/1 --force"),
        (1, "calibrate run --normal test.csv --range NAMEx=-9:9 --force"),
        (0, "export run --out model.vae --force"),
        (0, "info model.vae"),
        (0, "info model.vae --json"),
        (0, "info card.vae"),
        (0, "info card.vae --json"),
        (0, "diff model.vae card.vae"),
        (0, "diff model.vae card.vae --data test.csv"),
        (0, "score model.vae test.csv --out FILE-scores"),
        (1, "score card.vae fields.csv --out scores.csv"),
        (0, "evaluate model.vae test.csv --label label"),
        (1, "evaluate model.vae test.csv --label NAME"),
        (0, "generate model.vae -n 3 --out samples.csv"),
        (1, "generate card.vae -n 3 --out samples.csv --force --attribute NAMEx"),
        (1, "generate card.vae -n 3 --out samples.csv --force --condition NAMEx=1"),
        (0, "report run --out FILE.html --data test.csv"),
        (1, "import FILE --mapping unknown.toml --normal train.csv --out imported"),
        (1, "import FILE --mapping broken.toml --normal train.csv --out imported"),
        (1, "sign model.vae --key FILE --counter 1 --out signed.vae"),
        (1, "verify FILE --key FILE"),
        (1, "record FILE --out recorded.csv"),
        (1, "record - --out recorded.csv"),
        (1, "watch FILE"),
        (1, "watch - --elf FILE"),
        (1, "watch - --model card.vae"),
        (1, "watch - --model card.vae --json"),
    ] {
        let arguments = own(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = place.run_with(&arguments, log.as_bytes());
        let text =
            [output.stdout.clone(), output.stderr.clone()].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        let is_command = |c: char| {
            (c.is_control() && !['\n', '\t'].contains(&c))
                || "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2069}".contains(c)
        };
        assert!(!text.contains(is_command), "{arguments:?}: {text:?}");
        // Nor is a line from outside one of ours.
        let of_ours = |line: &str| line.starts_with("note: all") || line.starts_with("error: no");
        assert!(!text.lines().any(of_ours), "{arguments:?}: {text}");
        printed += text.matches("\\u001b]52;").count();
    }
    assert!(printed > 60, "{printed}: what is escaped is shown");

    // In JSON nothing is lost by it.
    let info = place.json("info card.vae");
    assert_eq!(info["channels"][1]["name"], names[1].as_str());
    assert_eq!(info["attributes"][0], format!("{COMMANDS}\nerror: no"));
    let page = place.read(&format!("{file}.html"));
    assert!(page.contains("\\u001b]52;c;") && page.contains("\\u202e"));
    assert!(!page.contains(|c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c)));

    // A name that has lines could make some of a result.
    let output = place.run_with(&["inspect", "a\nerror: b.csv"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).starts_with("error: the argument `a\\nerror: b.csv` contains a line break"), "{output:?}");
}

#[test]
fn names_that_are_formulas_are_guarded_in_every_table_and_read_back() {
    let names = ["=HYPERLINK(\"http://x\",\"y\")", "+1;=cmd|' /C calc'!A0", "'@SUM(1)"];
    // As it stands in a file, the last one has an apostrophe more.
    let place = Workplace::with_columns([names[0], names[1], "''@SUM(1)"]);
    place.succeed(&format!("{FIT} --out run"));
    place.succeed("calibrate run --normal train.csv --votes 1/1 --force");
    place.succeed("export run --out model.vae --force");
    place.succeed("generate model.vae -n 50 --out samples.csv");
    place.succeed("score model.vae test.csv --out scores.csv");
    let log = "SENSOR FAULT  the sensor of channel 1 repeats one value\n";
    let output = place.run_with(&["watch", "-", "--model", "model.vae", "--out", "watched.csv"], log.as_bytes());
    assert!(output.status.success(), "{}", message(&output));

    // Cells as a spreadsheet takes them that knows quotation marks, and as one that ends them at semicolons or tabs.
    for (name, least) in
        [("samples.csv", 3), ("run/standardiser.csv", 3), ("scores.csv", 0), ("watched.csv", 1), ("run/metrics.csv", 0)]
    {
        let text = place.read(name);
        let is_formula = |cell: &str| cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
        for line in text.lines() {
            for field in line.split(',') {
                let field = field.strip_prefix('"').unwrap_or(field);
                assert!(!field.split([';', '\t']).any(is_formula), "{name}: {line}");
            }
        }
        let guarded = ["'=HYPERLINK", "'+1;'=cmd|' /C calc'!A0", "''@SUM(1)", "stuck: +1;'=cmd|"];
        let found = guarded.iter().filter(|guarded| text.contains(*guarded)).count();
        assert!(found >= least, "{name}: {text}");
    }
    // Our own reader has the names back: the model finds its columns.
    place.succeed("score model.vae samples.csv --out again.csv");
    let known = place.json("info model.vae");
    let columns = place.json("inspect samples.csv");
    for (index, name) in names.iter().enumerate() {
        assert_eq!(known["channels"][index]["name"], *name);
        assert_eq!(columns["columns"][index]["name"], *name);
    }
}

/// An array that promises this shape, and has four values.
fn npy(descr: &str, shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 16]].concat()
}

/// A zip archive whose members are stored as they are, as NPZ files are.
fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    for (name, data) in members {
        let name = format!("{name}.npy");
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(data).to_le_bytes();
        let sizes = [&[0; 4][..], &crc, &length(data), &length(data)].concat();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let place = length(&archive);
        // Names in UTF-8 (bit 11).
        directory.push(
            [&b"PK\x01\x02\x14\0\x14\0\0\x08\0\0"[..], &sizes, &name_length, &[0; 12], &place, name.as_bytes()]
                .concat(),
        );
        archive.extend(
            [&b"PK\x03\x04\x14\0\0\x08\0\0"[..], &sizes, &name_length, &[0; 2], name.as_bytes(), data].concat(),
        );
    }
    let (count, directory) = (u16::try_from(members.len()).unwrap().to_le_bytes(), directory.concat());
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length(&directory), &length(&archive), &[0; 2]].concat();
    [archive, directory, end].concat()
}

#[test]
fn what_would_fill_the_memory_or_the_screen_is_refused_by_its_number() {
    let place = Workplace::new();
    place.write("bomb.npz", zipped(&[("x", &npy("<f4", "(1500000000, 1)"))]));
    place.write("shape.npy", npy("<f4", &format!("({})", "1, ".repeat(3000))));
    let member = npy("<f4", "(2, 2)");
    let arrays: Vec<String> = (0..4097).map(|array| format!("a{array}")).collect();
    place.write("arrays.npz", zipped(&arrays.iter().map(|name| (&**name, &member[..])).collect::<Vec<_>>()));
    place.write("field.csv", format!("a,b\n1,{}\n", "z".repeat(3_000_000)));
    place.write("name.csv", format!("a,{}\n1,2\n", "n".repeat(3_000_000)));
    place.write("quote.csv", format!("a,b\n1,\"2\n{}", "3,4\n".repeat(5_000_000)));
    let names: Vec<String> = (0..80_000).map(|column| format!("c{column}")).collect();
    place.write("columns.csv", format!("{}\n{}x\n", names.join(","), "x,".repeat(79_999)));
    let texts = names[..65_000].join(",") + ",v\n" + &("x,".repeat(65_000) + "1\n").repeat(20);
    place.write("texts.csv", texts);
    // Each is a clock by its name, and would be read by itself.
    let clocks: Vec<String> = (0..20_000).map(|column| format!("t {column}")).collect();
    let times = (0..5).map(|row| vec![row.to_string(); 20_000].join(",") + ",1\n");
    place.write("clocks.csv", clocks.join(",") + ",v\n" + &times.collect::<String>());
    place.write("line.toml", format!("epochs = \"{}\"\n", "x".repeat(100_000)));
    place.write("long.toml", "# nothing\n".repeat(200_000));
    for (arguments, expected) in [
        ("inspect bomb.npz", "array `x`: it unpacks to 6000000000 bytes or more, and of a file of "),
        ("inspect shape.npy", "its shape is [1, 1, 1, "),
        ("inspect arrays.npz", "it holds 4097 arrays: at most 4096 are looked through"),
        ("fit field.csv --out run", "zzz…` is not a number"),
        ("inspect name.csv", "nnn…` has 3000000 bytes: at most 1024 are a name"),
        ("inspect quote.csv", "row 1 (near line 2) cannot be read: it has more than 16777216 bytes, the most of a row"),
        ("inspect columns.csv", "the header has 80000 names: at most 65536 columns"),
        ("fit texts.csv --out run", "`x` is not a number (nor are all fields of `c1`"),
        ("fit field.csv --out run --config line.toml", "line.toml is not a valid configuration"),
        ("fit field.csv --out run --config long.toml", "long.toml has more than 1048576 bytes"),
        ("fit field.csv --out run --config /dev/zero", "/dev/zero has more than 1048576 bytes"),
        ("verify bomb.npz --key /dev/zero", "/dev/zero has more than 1048576 bytes"),
    ] {
        let message = place.fail(arguments);
        assert!(message.contains(expected), "{arguments}: {message}");
        assert!(message.len() < 21_000, "{arguments}: {} bytes", message.len());
    }
    assert!(!place.path("run").exists());
    // Of as many columns as there may be the texts are counted, and the clocks read, in one pass: that is for whoever waits to notice.
    let text = place.succeed("inspect texts.csv");
    assert!(text.contains("c0: 20 field(s) are no numbers") && text.len() < 1_500_000, "{}", text.len());
    let text = place.succeed("inspect clocks.csv");
    assert!(text.contains("t 0: a column of times, a row every 1 s"), "{text}");
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    const OURS: &str = "this is not vae-train's to change\n";

    #[test]
    fn a_lock_that_is_not_ours_is_neither_followed_nor_emptied() {
        let place = Workplace::with_columns(["a", "b", "c"]);
        place.succeed(&format!("{FIT} --out run"));
        place.write("v2.txt", OURS);
        let lock = place.path("run/.lock");
        let remove = || fs::remove_file(&lock).unwrap();
        let verbs = [
            (&*format!("{FIT} --out run --force"), "cannot write run/.lock"),
            ("fit train.csv --out run --resume", "cannot write run/.lock"),
            ("calibrate run --normal test.csv --force", "cannot write run/.lock"),
            ("attribute run test.csv --label label", "cannot write run/.lock"),
            ("export run --out model.vae", "cannot lock run/.lock"),
            ("report run --out report.html", "cannot lock run/.lock"),
        ];
        let refused = |expected: &str| {
            for (verb, context) in verbs {
                let message = place.fail(verb);
                assert!(message.contains(context) || expected.contains("number"), "{verb}: {message}");
                assert!(message.contains(expected) && message.contains("remove it"), "{verb}: {message}");
                assert_eq!(place.read("v2.txt"), OURS, "{verb}");
            }
        };
        remove();
        symlink("../v2.txt", &lock).unwrap();
        refused("it is a symbolic link");
        remove();
        // To nothing: it would be made there.
        symlink("../made.txt", &lock).unwrap();
        refused("it is a symbolic link");
        assert!(!place.path("made.txt").exists());
        remove();
        fs::hard_link(place.path("v2.txt"), &lock).unwrap();
        refused("it is a second name of another file");
        remove();
        fs::write(&lock, OURS).unwrap();
        refused("holds more than the number of a process");
        assert_eq!(place.read("run/.lock"), OURS);
        remove();
        assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
        refused("it is no ordinary file");
        remove();
        // What a killed process has left is ours.
        fs::write(&lock, "4194304\n").unwrap();
        place.succeed("export run --out model.vae");
        place.succeed("calibrate run --normal test.csv --force");
        assert_eq!(place.read("run/.lock"), "");

        // A new run in a directory where somebody has prepared one.
        fs::create_dir(place.path("new")).unwrap();
        symlink("../v2.txt", place.path("new/.lock")).unwrap();
        assert!(place.fail(&format!("{FIT} --out new")).contains("it is a symbolic link"));
        assert_eq!(place.read("v2.txt"), OURS);
    }

    #[test]
    fn an_output_replaces_a_link_and_leaves_what_it_points_to() {
        let place = Workplace::with_columns(["a", "b", "c"]);
        place.succeed(&format!("{FIT} --out run"));
        place.succeed("export run --out model.vae --force");
        place.succeed("keygen --out key.pem");
        let log: &[u8] = b"normal 1.0 nats, p = 0.5\n";
        let outputs = [
            "export run --out",
            "score model.vae test.csv --out",
            "generate model.vae -n 3 --out",
            "report run --out",
            "sign model.vae --key key.pem --counter 1 --out",
            "watch - --out",
        ];
        for (index, verb) in outputs.iter().enumerate() {
            let arguments: Vec<&str> = verb.split_whitespace().collect();
            let run = |more: &[&str]| place.run_with(&[&arguments[..], more].concat(), log);
            for is_hard in [false, true] {
                let (target, link) = (place.path("target"), format!("link{index}{is_hard}.csv"));
                fs::write(&target, OURS).unwrap();
                if is_hard {
                    fs::hard_link(&target, place.path(&link)).unwrap();
                } else {
                    symlink("target", place.path(&link)).unwrap();
                }
                let refused = run(&[&link]);
                assert!(
                    refused.status.code() == Some(1) && message(&refused).contains("--force"),
                    "{verb}: {refused:?}"
                );
                let output = run(&[&link, "--force"]);
                assert!(output.status.success(), "{verb}: {}", message(&output));
                assert_eq!(place.read("target"), OURS, "{verb}");
                let metadata = place.path(&link).symlink_metadata().unwrap();
                assert!(metadata.is_file() && metadata.len() > 0, "{verb}");
            }
            // A link to nothing is a file that exists, and nothing is made at its end.
            let link = format!("dangling{index}.csv");
            symlink("nowhere", place.path(&link)).unwrap();
            assert!(message(&run(&[&link])).contains("exists: give another name"), "{verb}");
            assert!(run(&[&link, "--force"]).status.success() && !place.path("nowhere").exists(), "{verb}");
        }
        for (link, key) in [("secret.pem", "secret.pem"), ("open.pub", "open.pem")] {
            symlink("nowhere", place.path(link)).unwrap();
            let message = place.fail(&format!("keygen --out {key}"));
            assert!(message.contains("a key is never overwritten") && !place.path("nowhere").exists(), "{message}");
            assert!(link == key || !place.path(key).exists(), "no half of a pair");
        }

        // A run's files and what looks like a temporary one.
        for name in ["run/metrics.csv", "run/config.toml", "run/.vae-train-aaaaaa", "run/.vae-train-notes"] {
            let _ = fs::remove_file(place.path(name));
            symlink("../target", place.path(name)).unwrap();
        }
        fs::write(place.path("target"), OURS).unwrap();
        fs::write(place.path("run/.vae-train-diary.txt"), OURS).unwrap();
        place.succeed(&format!("{FIT} --out run --force"));
        assert_eq!((place.read("target"), place.read("run/.vae-train-diary.txt")), (OURS.into(), OURS.into()));
        assert!(place.path("run/metrics.csv").symlink_metadata().unwrap().is_file());
    }
}
