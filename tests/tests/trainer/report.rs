//! The page that `vae-train report` writes: its numbers, its text, and how it behaves in a browser.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vae_tests::browser::{Browser, Click};

use crate::workplace::Workplace;

/// Names that a column may have, and that a page must not take for anything but names.
const HOSTILE: [&str; 3] =
    ["<script>hacked=1</script>", "\"><img src=x onerror='hacked=1'>", "</title></style></script>&amp;]]>"];

impl Workplace {
    /// Writes rows as CSV.
    fn write_rows(&self, name: &str, columns: &[&str], rows: impl Iterator<Item = Vec<f64>>) {
        let mut csv = Vec::new();
        let quoted = |name: &&str| format!("\"{}\"", name.replace('"', "\"\""));
        csv.push(columns.iter().map(quoted).collect::<Vec<_>>().join(","));
        for row in rows {
            let field = |value: &f64| if value.is_nan() { String::new() } else { value.to_string() };
            csv.push(row.iter().map(field).collect::<Vec<_>>().join(","));
        }
        fs::write(self.path(name), csv.join("\n")).unwrap();
    }

    /// Three dependent columns of these names; every fourth row of `test.csv` breaks the dependence.
    fn with_columns_and_faults(columns: [&str; 3]) -> Self {
        let place = Self::new();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let [a, b, c] = columns;
        for (name, faulty) in [("train.csv", false), ("test.csv", true)] {
            let rows = (0..400).map(|i| {
                let (t, anomaly) = (rng.random_range(-2.0..2.0), faulty && i % 4 == 0);
                let mut noise = || rng.random_range(-0.05..0.05);
                let b = 2.0 * t + noise() + if anomaly { 1.5 } else { 0.0 };
                vec![t, b, 5.0 - t + noise(), f64::from(u8::from(anomaly))]
            });
            let rows: Vec<Vec<f64>> = rows.collect();
            place.write_rows(name, &[a, b, c, "label"], rows.into_iter());
        }
        place
    }

    /// The run `motor` of a simulated motor, calibrated by its own data; returns what `calibrate` said.
    fn with_motor(&self) -> String {
        self.succeed("simulate motor --out data --seconds 40");
        self.succeed("fit data/train.csv --out motor --window 32 --hop 16 --hidden 16 --latent 3 --epochs 6");
        self.succeed("calibrate motor --normal data/train.csv --rate 1600 --alarms 1200/hour --force")
    }

    /// A report's text, after a look at its form.
    fn page(&self, name: &str) -> String {
        let page = fs::read_to_string(self.path(name)).unwrap();
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        assert_is_well_formed(&page);
        page
    }
}

const FIT: &str = "fit train.csv --out run --epochs 60 --batch 16 --hidden 16 --latent 2 --learning-rate 0.01";

/// Every tag is closed in its order, identifiers are unique, nothing is loaded, and no coordinate is missing.
fn assert_is_well_formed(page: &str) {
    const VOID: [&str; 3] = ["meta", "img", "!DOCTYPE"];
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (body, _) = rest.split_once("<script>").unwrap();
    let markup = format!("{head}{body}");
    let (mut open, mut ids) = (Vec::new(), std::collections::HashSet::new());
    for tag in markup.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect(tag);
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{open:?}");
        } else if !VOID.contains(&name) {
            open.push(name);
        }
        for attribute in [" id=\"", " src=\"", " href=\""] {
            let Some((_, value)) = tag.split_once(attribute) else { continue };
            let value = value.split('"').next().unwrap();
            match attribute {
                " id=\"" => assert!(ids.insert(value), "{value} twice"),
                " src=\"" => assert!(value.starts_with("data:image/png;base64,"), "{value}"),
                _ => assert!(value.starts_with('#'), "{value}"),
            }
        }
        for nothing in ["NaN", "inf", "=\"\""] {
            assert!(!tag.contains(nothing) || tag.starts_with("img"), "{tag}");
        }
    }
    // What is after the script.
    assert_eq!(open, ["html", "body"]);
    for address in ["http://", "https://", "//cdn", "@import", "url(h"] {
        assert!(!page.contains(address), "{address}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert_policy(page, &markup);
}

/// What the page runs and applies is its own script and style, known by their hashes; nothing stands in a place that these do not cover.
fn assert_policy(page: &str, markup: &str) {
    let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0;
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = between("Content-Security-Policy\" content=\"", "\"");
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(between("<style>", "</style>")),
        hash(between("<script>", "</script>"))
    );
    assert_eq!(policy, expected);
    assert_eq!((page.matches("<style").count(), page.matches("<script>").count()), (1, 1));
    for tag in markup.split('<').skip(1).map(|tag| tag.split_once('>').unwrap().0) {
        // Outside of values there are the attributes' names.
        let names = tag.split('"').step_by(2).flat_map(str::split_whitespace);
        for name in names.skip(1) {
            assert!(!name.starts_with("on") && !name.starts_with("style"), "{tag}");
        }
    }
    assert!(!page.contains("javascript:"));
}

#[test]
fn a_report_needs_nothing_but_the_run() {
    let place = Workplace::with_columns_and_faults(["a", "b", "c"]);
    let message = place.fail("report run --out report.html");
    assert!(message.contains("holds no run") && !place.path("report.html").exists(), "{message}");
    place.succeed(FIT);
    let text = place.succeed("report run --out report.html");
    assert!(text.contains("report.html") && text.contains("Detection has not been tried"), "{text}");
    let page = place.page("report.html");
    for part in [
        "Summary",
        "How well windows are explained",
        "Scores and the threshold",
        "Strangest windows",
        "made up",
        "Cortex-M0",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("AUROC 0.") && page.contains("run vae-train calibrate"));
    // 400 rows, of which a fifth were held out.
    assert!(page.contains("320 to train, 80 held out") && page.contains(", 400 rows"));

    assert!(place.fail("report run --out report.html").contains("--force"));
    let before = fs::read(place.path("report.html")).unwrap();
    place.succeed("report run --out report.html --force");
    assert!(fs::read(place.path("report.html")).unwrap() == before, "the same run gives the same page");
    assert_eq!(place.run("report run").status.code(), Some(2));
    assert_eq!(place.run("report run --out x.html --label label").status.code(), Some(2));
    assert!(place.succeed("report --help").contains("vae-train report runs/a --out report.html"));
}

#[test]
fn with_data_it_says_what_evaluate_says() {
    let place = Workplace::with_columns_and_faults(["a", "b", "c"]);
    place.succeed(FIT);
    place.succeed("calibrate run --normal train.csv --rate 1 --force");
    place.succeed("export run --out model.vae");
    let mut evaluated = place.json("evaluate model.vae test.csv --label label");
    let verdict = evaluated.as_object_mut().unwrap().remove("verdict").unwrap();
    evaluated.as_object_mut().unwrap().remove("model");
    let reported = place.json("report run --out report.html --data test.csv");
    assert_eq!(reported["evaluation"], evaluated);
    // What the data say comes first, and then what the run says.
    let findings = |verdict: &Value| verdict["findings"].as_array().unwrap().clone();
    let (of_data, of_all) = (findings(&verdict), findings(&reported["verdict"]));
    assert!(of_data.len() >= 3 && of_all.len() > of_data.len(), "{verdict}");
    assert_eq!(of_all[..of_data.len()], of_data);
    let page = place.page("report.html");
    assert_eq!(reported["bytes"].as_u64(), Some(page.len() as u64));
    let figure = |key: &str| evaluated[key].as_f64().unwrap();
    for text in [
        format!("AUROC {:.4} (limits on each column alone: {:.4})", figure("auroc"), {
            evaluated["baseline_independent_gaussians"]["auroc"].as_f64().unwrap()
        }),
        format!("Average precision {:.4}, best F1 {:.4}", figure("average_precision"), figure("best_f1")),
        format!("Below the threshold of {:.3} nats", figure("threshold")).replace('-', "−"),
    ] {
        assert!(page.contains(&text), "{text}");
    }
    let info = place.json("info model.vae");
    for key in ["flash", "scratch", "window_bytes", "detector_state", "instructions"] {
        assert_eq!(reported[key], info[key], "{key}");
    }
    // Labels of one kind, or none, cannot be judged.
    place.succeed("report run --out normal.html --data train.csv");
    assert!(place.json("report run --out again.html --data train.csv")["evaluation"].is_null());
    assert!(!place.page("normal.html").contains("AUROC 0."));
    assert!(place.page("normal.html").contains("train.csv: 400 windows"));
    assert!(place.fail("report run --out x.html --data missing.csv").contains("missing.csv"));
}

/// The first and last row of each run of ones in the column `label`, which is the last.
fn events_of(csv: &str) -> Vec<(usize, usize)> {
    let labels: Vec<bool> = csv.lines().skip(1).map(|line| line.ends_with(",1")).collect();
    let mut events: Vec<(usize, usize)> = Vec::new();
    for row in (0..labels.len()).filter(|row| labels[*row]) {
        match events.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ => events.push((row, row)),
        }
    }
    events
}

#[test]
fn events_are_judged_as_the_scores_tell() {
    const WINDOW: usize = 32;
    let place = Workplace::new();
    place.with_motor();
    place.succeed("export motor --out model.vae");
    place.succeed("score model.vae data/test.csv --label label --out scores.csv");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    // Last row, whether the alarm is on, and the verdict of each window.
    let windows: Vec<(usize, bool, &str)> = scores
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[0].parse().unwrap(), cells[7] == "1", cells[11])
        })
        .collect();
    let events = events_of(&fs::read_to_string(place.path("data/test.csv")).unwrap());
    let found = place.json("evaluate model.vae data/test.csv --label label");
    let (judged, outcomes) = (&found["events"], found["event_outcomes"].as_array().unwrap());
    // Five faults of ten seconds, each between twenty of normal running.
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|(first, last)| last - first == 15_999 && first % 48_000 == 32_000), "{events:?}");
    let (mut outside, mut alarms) = (vec![true; windows.len()], 0);
    for (index, (first, last)) in events.iter().enumerate() {
        let event = &judged["events"][index];
        assert_eq!(
            (event["first_row"].as_u64(), event["last_row"].as_u64()),
            (Some(*first as u64), Some(*last as u64))
        );
        let own: Vec<usize> =
            (0..windows.len()).filter(|i| windows[*i].0 >= *first && windows[*i].0 + 1 - WINDOW <= *last).collect();
        own.iter().for_each(|i| outside[*i] = false);
        let on: Vec<usize> = own.iter().copied().filter(|i| windows[*i].1).collect();
        let share = on.len() as f64 / own.len() as f64;
        assert!((event["alarm_share"].as_f64().unwrap() - share).abs() < 1e-12, "{event}");
        let raised = on.iter().filter(|i| !windows[**i - 1].1).count();
        assert_eq!(event["raised"].as_u64(), Some(raised as u64), "{event}");
        if !windows[own[0] - 1].1 {
            let delay = on.first().map(|i| (windows[*i].0 - first) as f64 / 1600.0);
            assert_eq!(event["delay_seconds"].as_f64(), delay, "{event}");
        }
        let off = on.last().and_then(|last_on| windows[*last_on..].iter().find(|window| !window.1));
        let next = events.get(index + 1).map_or(usize::MAX, |(first, _)| *first);
        let clear = off.filter(|off| off.0 < next).map(|off| off.0.saturating_sub(*last));
        assert_eq!(event["clear"].as_u64(), clear.map(|rows| rows as u64), "{event}");
        let sensor = own.iter().filter(|i| windows[**i].2.starts_with("stuck") && !windows[**i].1).count();
        let told = share + sensor as f64 / own.len() as f64;
        assert!((outcomes[index]["sensor_fault"].as_f64().unwrap() - sensor as f64 / own.len() as f64).abs() < 1e-12);
        let fate = outcomes[index]["fate"].as_str().unwrap();
        match fate {
            "flapped" => assert!(raised > 2, "{event}"),
            "detected" | "alarm-before" => assert!(share >= 0.5 && raised <= 2, "{event}"),
            "sensor-fault" => assert!(share < 0.5 && told >= 0.5, "{event}"),
            _ => assert!(told < 0.5, "{fate} {event}"),
        }
        alarms += raised;
    }
    let normal: Vec<usize> = (0..windows.len()).filter(|i| outside[*i]).collect();
    let share = |of: &dyn Fn(usize) -> bool| normal.iter().filter(|i| of(**i)).count() as f64 / normal.len() as f64;
    assert!((judged["normal_alarm_share"].as_f64().unwrap() - share(&|i| windows[i].1)).abs() < 1e-12);
    let drifting = normal.iter().filter(|i| windows[**i].2.starts_with("drifting")).count();
    assert_eq!(found["verdicts_outside_events"]["drifting"].as_u64(), Some(drifting as u64));
    let falsely = normal.iter().filter(|i| windows[**i].1 && (**i == 0 || !windows[**i - 1].1)).count();
    assert_eq!(judged["alarms"].as_u64(), Some((alarms + falsely) as u64));

    // The rate asked for is read from the model's file, which has it in f32.
    let test = &found["false_alarm_test"];
    assert_eq!((test["seen"].as_u64(), &judged["false_alarms"]), (Some(falsely as u64), &test["seen"]));
    let asked = test["asked"].as_f64().unwrap();
    assert!((asked / (1200.0 / 3600.0) - 1.0).abs() < 1e-3, "{asked}");
    let seconds = judged["watched_windows"].as_f64().unwrap() * 16.0 / 1600.0;
    assert!((test["seconds"].as_f64().unwrap() - seconds).abs() < 1e-9 && seconds > 0.0, "{test}");

    is_said(&place, &found, events.len());
}

/// Text and page say what the numbers do.
fn is_said(place: &Workplace, found: &Value, events: usize) {
    let is_bad = |fate: &Value| ["missed", "mostly-off", "flapped"].contains(&fate.as_str().unwrap());
    let bad = found["event_outcomes"].as_array().unwrap().iter().any(|outcome| is_bad(&outcome["fate"]))
        || found["false_alarm_test"]["outcome"] == "too-many";
    let verdict = &found["verdict"];
    assert_eq!(verdict["grade"] == "bad", bad || found["auroc"].as_f64().unwrap() < 0.8, "{verdict}");
    let headline = verdict["headline"].as_str().unwrap();
    let text = place.succeed("evaluate model.vae data/test.csv --label label");
    assert!(text.contains(&format!("verdict      {headline}\n")), "{text}");
    let listed = text.lines().skip_while(|line| !line.starts_with("  event (rows)")).skip(1);
    assert_eq!(listed.take_while(|line| !line.is_empty()).count(), events, "{text}");
    let reported = place.json("report motor --out stream.html --data data/test.csv");
    assert_eq!((&reported["verdict"]["grade"] == "bad", &reported["evaluation"]["events"]), (bad, &found["events"]));
    let page = place.page("stream.html");
    for part in ["Events: runs of rows labelled 1", "32000 to 47999", "Alarm on outside events", "How this is judged"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn names_in_the_data_are_text() {
    let place = Workplace::with_columns_and_faults(HOSTILE);
    place.succeed(FIT);
    fs::copy(place.path("test.csv"), place.path("<b>&test.csv")).unwrap();
    place.succeed("report run --out report.html --data <b>&test.csv");
    let page = place.page("report.html");
    assert!(page.contains("&lt;script&gt;hacked=1&lt;/script&gt;") && page.contains("&lt;b&gt;&amp;test.csv"));
    assert!(!page.contains("<b>") && !page.contains("<img"));
    let Some(mut browser) = Browser::start().unwrap() else { return };
    browser.open(&place.path("report.html"), 800, "light").unwrap();
    assert_eq!(browser.evaluate("typeof hacked").unwrap(), "undefined");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn every_kind_of_model_has_a_page() {
    let place = Workplace::new();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut uniform = || rng.random_range(0.0..1.0f64);
    place.write_rows(
        "two.csv",
        &["a", "b", "label"],
        (0..60).map(|i| vec![uniform(), uniform(), f64::from(u8::from(i % 20 == 0))]),
    );
    let names: Vec<String> = (0..500).map(|i| format!("a column with a long name, {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    place.write_rows("wide.csv", &names, (0..40).map(|_| names.iter().map(|_| uniform()).collect()));
    let pixels: Vec<String> = (0..64).map(|i| format!("p{i}")).collect();
    let pixels: Vec<&str> = pixels.iter().map(String::as_str).collect();
    place.write_rows("bits.csv", &pixels, (0..60).map(|_| pixels.iter().map(|_| uniform().round()).collect()));
    // A value that is missing now and then, a column that never varies, and one far from 1.
    let gap = |i: usize, value: f64| if i.is_multiple_of(97) { f64::NAN } else { value };
    place.write_rows(
        "stream.csv",
        &["x", "constant", "huge"],
        (0..6000).map(|i| vec![gap(i, (i as f64 * 0.1).sin()), 3.0, 1e9 * uniform()]),
    );
    for (data, options) in [
        ("two.csv", "--latent 1"),
        ("two.csv", "--latent 1 --prior 0"),
        ("two.csv", "--latent 2 --condition b"),
        ("two.csv", "--posterior full --latent 3"),
        ("two.csv", "--likelihood bernoulli --posterior bernoulli --latent 4"),
        ("two.csv", "--posterior categorical --latent 4 --categories 2"),
        ("wide.csv", "--hidden 8"),
        ("bits.csv", "--likelihood bernoulli --hidden 8 --latent 2"),
        ("stream.csv", "--window 1000 --hop 100 --hidden 8 --latent 3"),
        ("stream.csv", "--window 64 --front-end bands:16 --hidden 8"),
        ("stream.csv", "--window 64 --front-end x=statistics --hidden 8 --mixture 2 --second-stage"),
    ] {
        place.succeed(&format!("fit {data} --out run --epochs 2 --force {options}"));
        let alone = place.json("report run --out report.html --force");
        place.page("report.html");
        let tried = place.json(&format!("report run --out report.html --force --data {data}"));
        let page = place.page("report.html");
        assert_eq!(page.contains("<img"), data == "bits.csv", "{options}");
        assert_eq!(tried["evaluation"].is_object(), data == "two.csv", "{options}");
        assert!(alone["evaluation"].is_null() && alone["verdict"]["findings"].is_array());
    }
}

#[test]
fn the_threshold_is_worth_what_calibrate_says() {
    let place = Workplace::new();
    let said = place.with_motor();
    let (_, interval) = said.split_once("with 90 % confidence ").unwrap();
    let (interval, _) = interval.split_once(" on normal data").unwrap();
    let reported = place.json("report motor --out report.html");
    let page = place.page("report.html");
    // Forty seconds of a motor whose speed wanders over many are taken with --force.
    let refusal = reported["calibration"]["refusal"].as_str().unwrap();
    assert!(
        refusal.contains("their scores drift, or have a rhythm")
            && page.contains("The rate of false alarms is not well known"),
        "{said}"
    );
    // The curve goes through the threshold where the rate is the one asked for.
    assert!(page.contains(&format!("At the model's threshold 1200/hour are expected, {interval} with")), "{interval}");
    let asked = reported["calibration"]["alarms"][0].as_f64().unwrap();
    assert!((asked - 1200.0 / 3600.0).abs() < 1e-6, "{asked}");
}

#[test]
fn a_model_that_int8_would_change_is_shown_in_f32() {
    let place = Workplace::with_columns_and_faults(["a", "b", "c"]);
    fs::write(
        place.path("sharp.toml"),
        "likelihood = \"gaussian-fixed\"\nvariance = 1e-6\nfalse_alarms = 0.5\nvalidation = 0.5\n",
    )
    .unwrap();
    // Which verdicts int8 changes is chance; that it changes more than two of some of eight fits is not.
    let mut reports = (0..8).map(|seed| {
        place.succeed(&format!("{FIT} --config sharp.toml --force --seed {seed}"));
        place.json("report run --out report.html --force")
    });
    let reported = reports.find(|reported| reported["precision"] == "f32").unwrap();
    assert_eq!((&reported["precision"], &reported["verdict"]["grade"]), (&"f32".into(), &"caution".into()));
    assert!(reported["quantisation"]["flipped"].as_u64().unwrap() > 2);
    let page = place.page("report.html");
    assert!(page.contains("this report is on the f32 model") && page.contains("32-bit weights"));
}

/// What is wrong with how the page looks: text outside its chart, labels of an axis on each other, too little contrast, labels that
/// name nothing.
const FLAWS: &str = r#"(() => {
    const flaws = [];
    if (document.documentElement.scrollWidth > innerWidth) flaws.push(`${document.documentElement.scrollWidth} px wide`);
    for (const svg of document.querySelectorAll("svg")) {
        const box = svg.getBoundingClientRect();
        const texts = [...svg.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()]);
        for (const [text, at] of texts) {
            if (at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1)
                flaws.push(`${text.textContent} leaves its chart`);
            if (parseFloat(getComputedStyle(text).fontSize) * box.width / svg.viewBox.baseVal.width < 10)
                flaws.push(`${text.textContent} is too small`);
            for (const [other, there] of texts)
                if (text !== other && at.left < there.right - 1 && there.left < at.right - 1
                    && at.top < there.bottom - 3 && there.top < at.bottom - 3)
                    flaws.push(`${text.textContent} overlaps ${other.textContent}`);
        }
    }
    const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const colour = text => text.match(/[\d.]+/g).map(Number);
    const ground = element => {
        for (; element; element = element.parentElement) {
            const [r, g, b, a = 1] = colour(getComputedStyle(element).backgroundColor);
            if (a > 0) return [r, g, b];
        }
        return [255, 255, 255];
    };
    for (const element of document.querySelectorAll("p, h1, h2, h3, a, dt, dd, li, span, summary, button, th, td, text, caption")) {
        const style = getComputedStyle(element);
        const [a, b] = [colour(element.tagName === "text" ? style.fill : style.color), ground(element)].map(luminance);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) flaws.push(`${element.textContent.slice(0, 40)}: contrast ${contrast.toFixed(2)}`);
    }
    for (const element of document.querySelectorAll("[aria-labelledby]"))
        for (const id of element.getAttribute("aria-labelledby").split(" "))
            if (!document.getElementById(id)?.textContent) flaws.push(`${id} names nothing`);
    return [...new Set(flaws)];
})()"#;

#[test]
fn the_page_works_in_a_browser() {
    let Some(mut browser) = Browser::start().unwrap() else { return };
    let place = Workplace::with_columns_and_faults(["a", "b", "c"]);
    place.succeed(FIT);
    place.succeed("calibrate run --normal train.csv --rate 1 --votes 1/1 --force");
    place.succeed("report run --out rows.html --data test.csv");
    place.with_motor();
    place.succeed("report motor --out stream.html --data data/test.csv");
    for page in ["rows.html", "stream.html"] {
        for (width, theme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
            browser.open(&place.path(page), width, theme).unwrap();
            let flaws = browser.evaluate(FLAWS).unwrap();
            assert_eq!(flaws, serde_json::json!([]), "{page} at {width} px, {theme}");
            behaves(&mut browser, theme);
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{page}");
        }
    }
}

/// Theme, series and values answer to mouse and keyboard.
fn behaves(browser: &mut Browser, theme: &str) {
    let paper = "getComputedStyle(document.body).backgroundColor";
    let before = browser.evaluate(paper).unwrap();
    assert_eq!(before, if theme == "light" { "rgb(255, 255, 255)" } else { "rgb(18, 21, 26)" });
    browser.point("#theme", Click::Yes).unwrap();
    assert_ne!(browser.evaluate(paper).unwrap(), before);
    browser.point("#theme", Click::Yes).unwrap();
    assert_eq!(browser.evaluate(paper).unwrap(), before);

    let hidden = "[...document.querySelectorAll('#latent-plane .series.two')].map(e => getComputedStyle(e).display)";
    assert_eq!(browser.evaluate(hidden).unwrap(), serde_json::json!(["inline"]));
    browser.point("#latent-plane button.two", Click::Yes).unwrap();
    assert_eq!(browser.evaluate(hidden).unwrap(), serde_json::json!(["none"]));
    let pressed = "document.querySelector('#latent-plane button.two').getAttribute('aria-pressed')";
    assert_eq!(browser.evaluate(pressed).unwrap(), "false");
    browser.point("#latent-plane button.two", Click::Yes).unwrap();
    assert_eq!(browser.evaluate(hidden).unwrap(), serde_json::json!(["inline"]));

    // Only what is on the page's own screen is seen.
    let tip = "(() => { const tip = document.getElementById('tip'), at = tip.getBoundingClientRect();
        const seen = !tip.hidden && at.left >= 0 && at.top >= 0 && at.right <= innerWidth && at.bottom <= innerHeight;
        return seen ? tip.textContent : null; })()";
    browser.point("#instructions .bar", Click::No).unwrap();
    let text = browser.evaluate(tip).unwrap();
    assert!(text.as_str().unwrap_or_default().starts_with("Cortex-M4F: "), "{text}");
    browser.point("h1", Click::No).unwrap();
    assert_eq!(browser.evaluate(tip).unwrap(), Value::Null);

    browser.evaluate("document.querySelector('#roc .plot').scrollIntoView({ block: 'center' })").unwrap();
    browser.evaluate("document.querySelector('#roc .plot').focus({ preventScroll: true })").unwrap();
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))").unwrap();
    browser.press("ArrowRight").unwrap();
    let first = browser.evaluate(tip).unwrap();
    assert!(first.as_str().unwrap_or_default().contains("of the anomalous windows are found"), "{first}");
    browser.press("ArrowRight").unwrap();
    assert_ne!(browser.evaluate(tip).unwrap(), first);
    browser.press("Home").unwrap();
    assert_eq!(browser.evaluate(tip).unwrap(), first);
    browser.press("Escape").unwrap();
    assert_eq!(browser.evaluate(tip).unwrap(), Value::Null);
}
