//! A model's card as a bill of materials: what the file says, all of it signed, and the same bytes each time.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vae_tests::{python, root};
use vae_train::file::{card::TERMS, model_file::AlignedFile};

use crate::workplace::{Workplace, fail, succeed};

fn sha256(file: &Path) -> String {
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The card of the bill of a model file.
fn bill(folder: &Path, model: &str) -> Value {
    serde_json::from_str(&succeed(folder, &format!("info {model} --card"))).unwrap()
}

/// The value of the property, metric or dataset of this name.
fn named<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// Against CycloneDX's own schema, where its Python library is there.
fn validate(bill: &Path) {
    let package = "'cyclonedx-python-lib[json-validation]'";
    let Some(python) = python("import cyclonedx.validation.json, jsonschema", package) else { return };
    let checks = root().join("tests/xtask/tests/checks.py");
    let output = Command::new(python).arg(checks).arg("bill").arg(bill).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_card_says_what_the_signed_file_says_and_nothing_else() {
    let place = Workplace::new();
    let folder = place.path("");
    succeed(&folder, "simulate motor --out data --seconds 20");
    succeed(&folder, "simulate motor --out more --seconds 60 --seed 3");
    let fit = "fit data/train.csv --out run --window 32 --hop 16 --hidden 16 --latent 3 --epochs 3 --json";
    let fitted: Value = serde_json::from_str(&succeed(&folder, fit)).unwrap();
    let calibrate = "calibrate run --normal more/train.csv --rate 1600 --alarms 3600/hour --force --json";
    let calibrated: Value = serde_json::from_str(&succeed(&folder, calibrate)).unwrap();
    let mut export = place.command("export run --out model.vae --json --unit x=g --unit z=m/s²");
    export.args(["--name", "motor of pump 7", "--intended-use", "worn bearings", "--limit", "not below 5 °C"]);
    let exported = export.stderr(Stdio::inherit()).output().unwrap();
    let exported: Value = serde_json::from_slice(&exported.stdout).unwrap();
    let info: Value = serde_json::from_str(&succeed(&folder, "info model.vae --json")).unwrap();

    let bill = bill(&folder, "model.vae");
    let component = &bill["metadata"]["component"];
    let card = &component["modelCard"];
    assert_eq!((&bill["specVersion"], &component["type"]), (&json!("1.6"), &json!("machine-learning-model")));
    assert_eq!(component["name"], "motor of pump 7");
    assert_eq!(component["hashes"], json!([{ "alg": "SHA-256", "content": sha256(&place.path("model.vae")) }]));

    let parameters = &card["modelParameters"];
    let data = |name| &named(&parameters["datasets"], "name", name)["contents"]["properties"][0]["value"];
    assert_eq!(*data("training data"), info["data"]);
    assert!(data("training data").as_str().unwrap().ends_with(", 32000 rows"), "{}", data("training data"));
    assert!(data("calibration data, normal").as_str().unwrap().ends_with(", 96000 rows"));
    let inputs = json!([{ "format": "channel x: f32, in g" }, { "format": "channel y: f32" }, { "format": "channel z: f32, in m/s²" }]);
    assert_eq!(parameters["inputs"], inputs);
    assert!(parameters["modelArchitecture"].as_str().unwrap().starts_with("96-16-6-(3)-16-96, Int8 weights"));

    let metrics = &card["quantitativeAnalysis"]["performanceMetrics"];
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b.abs() + 1e-4;
    let elbo = named(metrics, "type", "ELBO of standardised values, nats");
    assert!(near(number(&elbo["value"]), fitted["validation_elbo"].as_f64().unwrap()), "{elbo} {fitted}");
    let quantisation = &exported["quantisation"];
    assert_eq!(elbo["slice"], format!("{} windows held out of the fit", quantisation["windows"]));
    let flipped = named(metrics, "type", "verdicts that int8 flips");
    assert_eq!(number(&flipped["value"]), quantisation["flipped"].as_f64().unwrap());
    let shift = named(metrics, "type", "mean magnitude of the change of scores by int8, nats");
    assert!(near(number(&shift["value"]), quantisation["score_shift"]["mean_magnitude"].as_f64().unwrap()), "{shift}");
    let alarms = named(metrics, "type", "false alarms asked for, per second");
    assert!(near(number(&alarms["value"]), 1.0), "{alarms}");
    for (index, bound) in ["lowerBound", "upperBound"].into_iter().enumerate() {
        let expected = calibrated["alarms"][1][index].as_f64().unwrap();
        assert!(near(number(&alarms["confidenceInterval"][bound]), expected), "{alarms} {calibrated}");
    }

    let considerations = &card["considerations"];
    assert_eq!(considerations["useCases"], json!([TERMS.intended_use, "worn bearings"]));
    let limits: Vec<&str> = TERMS.limits.iter().copied().chain(["not below 5 °C"]).collect();
    assert_eq!(considerations["technicalLimitations"], json!(limits));
    assert_eq!(considerations["ethicalConsiderations"].as_array().unwrap().len(), TERMS.people.len());
    let property = |name| &named(&card["properties"], "name", name)["value"];
    assert_eq!(number(property("vae:threshold_nats")), info["threshold"].as_f64().unwrap());
    assert_eq!(
        (property("vae:votes"), property("vae:flash_bytes")),
        (&json!("2/3"), &json!(info["flash"].to_string()))
    );

    let written = place.path("card.cdx.json");
    fs::write(&written, succeed(&folder, "info model.vae --card")).unwrap();
    validate(&written);
}

#[test]
fn a_card_is_of_the_bytes_alone_and_covered_by_the_signature() {
    let place = Workplace::new();
    let folder = place.path("");
    succeed(&folder, "simulate motor --out data --seconds 5");
    succeed(&folder, "fit data/train.csv --out run --window 16 --hop 8 --hidden 8 --latent 2 --epochs 1");
    let mut export = place.command("export run --out model.vae --force --limit");
    assert!(export.arg("never above 3000 rpm").status().unwrap().success());
    succeed(&folder, "keygen --out key.pem");
    succeed(&folder, "sign model.vae --key key.pem --counter 7 --out signed.vae");
    fs::create_dir(place.path("elsewhere")).unwrap();
    fs::copy(place.path("signed.vae"), place.path("elsewhere/renamed.vae")).unwrap();
    let text = succeed(&folder, "info signed.vae --card");
    assert_eq!(text, succeed(&folder, "info elsewhere/renamed.vae --card --seed 5"));
    assert_eq!(text, succeed(&folder, "info signed.vae --card --json"), "it is JSON anyway");

    let [plain, signed] = ["model.vae", "signed.vae"].map(|name| bill(&folder, name));
    assert_ne!(plain["serialNumber"], signed["serialNumber"]);
    let [plain, signed] = [plain, signed].map(|bill| bill["metadata"]["component"].clone());
    assert_eq!(signed["hashes"][0]["content"], sha256(&place.path("signed.vae")));
    let property = |name| &named(&signed["properties"], "name", name)["value"];
    assert_eq!(*property("vae:signature:sha256_of_the_model"), plain["hashes"][0]["content"]);
    assert_eq!(property("vae:signature:counter"), "7");
    assert_eq!(plain["modelCard"], signed["modelCard"]);
    validate_text(&place, &text);

    // What the card says of the model is in what is signed: with a right checksum, so that the file is one, the signature is not.
    let file = fs::read(place.path("signed.vae")).unwrap();
    let limit = b"never above 3000 rpm";
    let at = file.windows(limit.len()).position(|bytes| bytes == limit).unwrap();
    let mut changed = file.clone();
    changed[at + b"never above ".len()] = b'9';
    let len = file.len() - vae_core::SIGNATURE_TRAILER_LEN;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&changed[12..len]);
    changed[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(place.path("changed.vae"), changed).unwrap();
    assert!(succeed(&folder, "info changed.vae --card").contains("never above 9000 rpm"));
    succeed(&folder, "verify signed.vae --key key.pub");
    assert!(fail(&folder, "verify changed.vae --key key.pub").contains("signature is wrong"));
}

fn validate_text(place: &Workplace, text: &str) {
    place.write("validated.cdx.json", text);
    validate(&place.path("validated.cdx.json"));
}

/// Files of before say less, and have a card of what they say.
#[test]
fn a_file_that_says_nothing_of_its_use_has_a_card_without() {
    let place = Workplace::new();
    fs::copy(root().join("vae-core/tests/tiny.vae"), place.path("tiny.vae")).unwrap();
    let text = place.succeed("info tiny.vae --card");
    let bill: Value = serde_json::from_str(&text).unwrap();
    let card = &bill["metadata"]["component"]["modelCard"];
    let considerations = card["considerations"].as_object().unwrap();
    assert!(!considerations.contains_key("useCases") && !considerations.contains_key("technicalLimitations"), "{text}");
    let file = AlignedFile::read(&place.path("tiny.vae")).unwrap();
    let channels = file.model().unwrap().card().unwrap().channels.lines().count();
    assert_eq!(card["modelParameters"]["inputs"].as_array().unwrap().len(), channels);
    validate_text(&place, &text);
}

#[test]
fn what_does_not_belong_on_a_card_is_refused() {
    let place = Workplace::new();
    place.write(
        "train.csv",
        (0..200).fold("a,b\n".to_owned(), |text, row| text + &format!("{},{}\n", row % 7, row % 5)),
    );
    place.succeed("fit train.csv --out run --epochs 1");
    let long = format!("--limit {}", "x".repeat(201));
    for (arguments, says) in [
        ("--unit c=g", "no column `c`"),
        ("--unit a=g --unit a=m", "two units"),
        (&*long, "201 characters"),
        ("--limit ", "empty"),
    ] {
        let mut export = place.command("export run --out model.vae --force");
        let output = export.args(arguments.split(' ')).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && message.contains(says), "{arguments}: {message}");
        assert!(!place.path("model.vae").exists());
    }
}

/// The words that the number of the terms stands for are a part of the format.
#[test]
fn the_format_has_the_words_of_the_terms() {
    let format = fs::read_to_string(root().join("vae-core/FORMAT.md")).unwrap();
    let format = format.split_whitespace().collect::<Vec<_>>().join(" ");
    let people = TERMS.people.iter().flat_map(|(what, how)| [*what, *how]);
    for words in [TERMS.intended_use].into_iter().chain(TERMS.limits.iter().copied()).chain(people) {
        assert!(format.contains(words), "{words}");
    }
}
