//! A model's card as other programs read it: a bill of materials of machine learning (ML-BOM) in CycloneDX.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vae_core::{
    Calibration, Model, ScoreKind,
    format::{Card, Precision},
};

use crate::{
    data::front_end::name as front_end_name,
    file::{
        card::{Lines, Terms, name},
        model_file::AlignedFile,
        signing::divided,
    },
    scoring::false_alarm_test::asked_for,
    weights::family::posterior_name,
    words::rates::rate_nearest,
};

/// How other records of the bill refer to the model.
const MODEL: &str = "model";

/// The bill of a model file, signed or not, whose signature is not verified. It depends on nothing but these bytes, which it names by their
/// SHA-256; what the file does not say is left out.
///
/// # Errors
/// If the file is faulty, or names terms of use that this program does not know.
///
/// # Source
/// CycloneDX 1.6, <https://cyclonedx.org/docs/1.6/json/>.
pub fn bill(file: &[u8]) -> Result<Value> {
    let (bytes, signed) = divided(file);
    let aligned = AlignedFile::new(bytes);
    let model = aligned.model()?;
    let card = model.card()?;
    let lines = Lines(card.metrics);
    let mut properties = Properties::default();
    properties.add("fingerprint", format!("{:08x}", model.fingerprint()));
    properties.add("creator", card.creator);
    properties.add("seed", card.seed);
    if let Some(signed) = signed {
        properties.add("signature:counter", signed.counter());
        properties.add("signature:key", format!("{:08x}", signed.key()));
        properties.add("signature:sha256_of_the_model", hex(&Sha256::digest(bytes)));
    }
    let component = json!({
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": lines.first(name::NAME).unwrap_or("vae"),
        "version": format!("{:08x}", model.fingerprint()),
        "hashes": [{ "alg": "SHA-256", "content": hex(&Sha256::digest(file)) }],
        "modelCard": {
            "modelParameters": parameters(&model, &card, lines)?,
            "quantitativeAnalysis": { "performanceMetrics": metrics(&model, lines)? },
            "considerations": considerations(&model, lines)?,
            "properties": of_windows(&model)?.0,
        },
        "properties": properties.0,
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(file),
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "vae-train" }] },
            "component": component,
        },
    }))
}

/// What the model is, what it was trained on, and what goes in and comes out.
fn parameters(model: &Model<'_>, card: &Card<'_>, lines: Lines<'_>) -> Result<Value> {
    let dataset = |name: &str, data: &str| {
        json!({
            "type": "dataset",
            "name": name,
            "contents": { "properties": [{ "name": "vae:fingerprint", "value": data }] },
        })
    };
    let training = dataset("training data", card.data);
    let calibration = lines.first(name::CALIBRATED_ON).map(|data| dataset("calibration data, normal", data));
    let datasets: Vec<Value> = [training].into_iter().chain(calibration).collect();
    let mut inputs = Vec::new();
    for (index, channel) in card.channels.lines().enumerate() {
        let front_end = front_end_name(model.front_end(index)?);
        inputs.push(input("channel", channel, lines.unit(channel), (front_end != "raw").then_some(front_end)));
    }
    inputs.extend(card.conditions.lines().map(|condition| input("condition", condition, lines.unit(condition), None)));
    let outputs = ["score of a window: f32, nats", "verdict: normal, drifting, sensor fault or anomalous"];
    Ok(json!({
        "approach": { "type": "unsupervised" },
        "task": "anomaly detection",
        "architectureFamily": "variational autoencoder",
        "modelArchitecture": architecture(model)?,
        "datasets": datasets,
        "inputs": inputs,
        "outputs": outputs.map(|format| json!({ "format": format })),
    }))
}

fn input(kind: &str, name: &str, unit: Option<&str>, front_end: Option<String>) -> Value {
    let unit = unit.map_or_else(String::new, |unit| format!(", in {unit}"));
    let front_end = front_end.map_or_else(String::new, |front_end| format!(", seen as {front_end}"));
    json!({ "format": format!("{kind} {name}: f32{unit}{front_end}") })
}

/// Widths of the layers, and the families.
fn architecture(model: &Model<'_>) -> Result<String> {
    let header = model.header()?;
    let mut widths = vec![model.features().to_string()];
    for (index, layer) in model.layers()?.enumerate() {
        widths.push(layer?.rows.to_string());
        if index + 1 == header.encoder_layers as usize {
            widths.push(format!("({})", model.latent()));
        }
    }
    Ok(format!(
        "{}, {:?} weights, {} posterior, {:?} likelihood",
        widths.join("-"),
        header.precision,
        posterior_name(header.posterior),
        header.likelihood
    ))
}

/// How well the model and its threshold are known to do.
fn metrics(model: &Model<'_>, lines: Lines<'_>) -> Result<Vec<Value>> {
    let calibration = model.calibration()?;
    let held_out = lines.first(name::HELD_OUT).map(|windows| format!("{windows} windows held out of the fit"));
    let mut metrics = Vec::new();
    let mut add = |kind: &str, value: Option<String>, slice: Option<&str>| {
        let Some(value) = value else { return };
        let mut metric = json!({ "type": kind, "value": value });
        if let Some(slice) = slice {
            metric["slice"] = slice.into();
        }
        metrics.push(metric);
    };
    let said = |name: &str| lines.first(name).map(str::to_owned);
    add("ELBO of standardised values, nats", said(name::VALIDATION_ELBO), held_out.as_deref());
    add("verdicts that int8 flips", said(name::INT8_FLIPPED), held_out.as_deref());
    add("mean magnitude of the change of scores by int8, nats", said(name::INT8_SHIFT), held_out.as_deref());
    let windows = format!("{} calibration windows", calibration.scores());
    let per_second = asked_for(&calibration, model.hop());
    add("false alarms asked for", per_second.map(rate_nearest), None);
    add("false alarms asked for, per second", per_second.map(|rate| format!("{rate:.3e}")), Some(&windows));
    // What they are with a confidence of 90 %, by the calibration.
    let bounds = per_second.and(lines.first(name::FALSE_ALARMS)).and_then(|bounds| bounds.split_once(' '));
    if let (Some((low, high)), Some(metric)) = (bounds, metrics.last_mut()) {
        metric["confidenceInterval"] = json!({ "lowerBound": low, "upperBound": high });
    }
    Ok(metrics)
}

/// What the model is for, and what it is not for.
fn considerations(model: &Model<'_>, lines: Lines<'_>) -> Result<Value> {
    let terms = lines.terms()?;
    let of_all = terms.as_ref();
    let uses = of_all.map(|terms| terms.intended_use).into_iter().chain(lines.all(name::USE));
    let limits = of_all.map_or(&[][..], |terms| terms.limits).iter().copied().chain(lines.all(name::LIMIT));
    let people = |Terms { people, .. }: &Terms| -> Vec<Value> {
        people.iter().map(|(name, how)| json!({ "name": name, "mitigationStrategy": how })).collect()
    };
    let mut considerations = json!({
        "useCases": uses.collect::<Vec<_>>(),
        "technicalLimitations": limits.collect::<Vec<_>>(),
        "ethicalConsiderations": of_all.map(people).unwrap_or_default(),
    });
    if model.header()?.precision == Precision::Int8 {
        let tradeoff = "weights of 8 bits, not 32: a quarter of their bytes, for what int8 changes among the metrics";
        considerations["performanceTradeoffs"] = json!([tradeoff]);
    }
    if let Value::Object(considerations) = &mut considerations {
        considerations.retain(|_, said| said.as_array().is_none_or(|said| !said.is_empty()));
    }
    Ok(considerations)
}

/// What the device makes of samples, and what it needs.
fn of_windows(model: &Model<'_>) -> Result<Properties> {
    let calibration = model.calibration()?;
    let mut properties = Properties::default();
    properties.add("window", model.window());
    properties.add("hop", model.hop());
    properties.add("features", model.features());
    properties.add("latent", model.latent());
    of_alarms(&calibration, &mut properties);
    properties.add("flash_bytes", model.flash_len());
    properties.add("scratch_bytes", 4 * model.scratch_len());
    properties.add("window_bytes", 4 * model.window_len());
    properties.add("detector_bytes", 4 * model.state_len());
    if let Some(epoch) = Lines(model.card()?.metrics).first(name::EPOCH) {
        properties.add("epoch", epoch);
    }
    Ok(properties)
}

fn of_alarms(calibration: &Calibration<'_>, properties: &mut Properties) {
    if let Some(rate) = calibration.sample_rate() {
        properties.add("samples_per_second", rate);
    }
    let score = match calibration.score_kind() {
        ScoreKind::AtMean => "mean".to_owned(),
        ScoreKind::Samples(samples) => format!("samples:{samples}"),
        ScoreKind::Importance(samples) => format!("importance:{samples}"),
    };
    properties.add("score", score);
    properties.add("threshold_nats", calibration.threshold());
    properties.add("calibration_windows", calibration.scores());
    let (m, n) = calibration.votes();
    properties.add("votes", format!("{m}/{n}"));
}

/// Names of our own with their values, as CycloneDX has them.
#[derive(Default)]
struct Properties(Vec<Value>);

impl Properties {
    fn add(&mut self, name: &str, value: impl ToString) {
        self.0.push(json!({ "name": format!("vae:{name}"), "value": value.to_string() }));
    }
}

/// A number that is the same for the same file, in the form of a random UUID (RFC 9562, version 8).
fn serial(file: &[u8]) -> String {
    let mut digest = Sha256::digest(file);
    digest[6] = digest[6] & 0x0f | 0x80;
    digest[8] = digest[8] & 0x3f | 0x80;
    let hex = hex(&digest);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
