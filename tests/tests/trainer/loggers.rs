//! Recordings as loggers write them: what tells the time, what counts, what stands for missing, what surrounds the rows, and what labels say.

use std::{fmt::Write as _, fs};

use serde_json::Value;

use crate::workplace::{Workplace, message};

const ROWS: usize = 400;

/// What sensors say in a row: a flow and a pressure that follow each other, in decimals.
fn measured(row: usize) -> [f64; 2] {
    let phase = row as f64 / 7.0;
    let noise = ((row * 7919) % 101) as f64 / 101.0 - 0.5;
    [120.0 + 5.0 * phase.sin() + noise, 2.5 + 0.1 * phase.sin() + 0.05 * noise]
}

/// A file with one column more, of this name and with these fields, before those of the sensors.
fn table(name: &str, field: &dyn Fn(usize) -> String) -> String {
    let mut text = format!("{name},flow,pressure\n");
    for row in 0..ROWS {
        let [flow, pressure] = measured(row);
        writeln!(text, "{},{flow:.2},{pressure:.3}", field(row)).unwrap();
    }
    text
}

/// What inspect makes of a file: its columns that a fit takes, rows a second, and pieces.
fn inspected(place: &Workplace, text: &str, options: &str) -> (Vec<String>, Option<f64>, u64) {
    place.write("t.csv", text);
    let found = place.json(&format!("inspect t.csv {options}"));
    let columns = found["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap().to_owned());
    (columns.collect(), found["rate"].as_f64(), found["pieces"].as_u64().unwrap())
}

fn hh_mm(row: usize) -> (usize, usize, usize) {
    let minutes = 22 * 60 + 40 + row;
    (1 + minutes / 1440, minutes / 60 % 24, minutes % 60)
}

#[test]
fn time_is_told_by_how_a_column_goes_on_and_not_by_its_name() {
    let place = Workplace::new();
    let minute = Some(1.0 / 60.0);
    let half = |row: usize| (2.0 * (62.0 - 17.0 * (-(row as f64) / 100.0).exp())).round() / 2.0;
    let clock = |format: fn(usize, usize, usize) -> String| {
        move |row: usize| {
            let (day, hour, minute) = hh_mm(row);
            format(day, hour, minute)
        }
    };
    // A name, what it holds, rows a second, and whether it is a sensor.
    type Field = Box<dyn Fn(usize) -> String>;
    let cases: Vec<(&str, Field, Option<f64>, bool)> = vec![
        ("entry_id", Box::new(|row| (10_417 + row).to_string()), None, false),
        ("Unnamed: 0", Box::new(|row| row.to_string()), None, false),
        ("", Box::new(|row| row.to_string()), None, false),
        ("LogIndex", Box::new(|row| (3 * row).to_string()), None, false),
        ("sample", Box::new(|row| (row % 100).to_string()), None, false),
        ("t", Box::new(move |row| (21.0 + 0.5 * ((row / 50) % 3) as f64).to_string()), None, true),
        ("T_motor", Box::new(move |row| half(row).to_string()), None, true),
        ("ms_pressure", Box::new(|row| ((row * 37) % 101).to_string()), None, true),
        ("S", Box::new(|row| (row / 150).to_string()), None, true),
        ("time", Box::new(|row| format!("{:.2}", 0.01 * row as f64)), Some(100.0), false),
        ("time", Box::new(|row| (10 * row).to_string()), None, false),
        ("Zeit (ms)", Box::new(|row| (10 * row).to_string()), Some(100.0), false),
        ("DeviceTime", Box::new(|row| (1_714_603_200 + 60 * row).to_string()), minute, false),
        ("epoch", Box::new(|row| format!("{}", 1_714_603_200_000_u64 + 60_000 * row as u64)), minute, false),
        ("Date", Box::new(|row| format!("{:.8}", 45_413.25 + row as f64 / 1440.0)), minute, false),
        ("when", Box::new(|row| format!("{:.8}", 45_413.25 + row as f64 / 1440.0)), None, false),
        ("index", Box::new(clock(|d, h, m| format!("2024-05-{d:02} {h:02}:{m:02}:00"))), minute, false),
        ("created_at", Box::new(clock(|d, h, m| format!("2024-05-{d:02} {h:02}:{m:02}:00 UTC"))), minute, false),
        ("Datum/Uhrzeit", Box::new(clock(|d, h, m| format!("{d:02}.05.2024 {h:02}:{m:02}:00"))), minute, false),
        ("Date Time", Box::new(clock(|d, h, m| format!("05/{d:02}/2024 {h:02}:{m:02}:00"))), minute, false),
        (
            "Date Time",
            Box::new(clock(move |d, h, m| {
                let twelve = |hour: usize| ((hour + 11) % 12 + 1, if hour < 12 { "AM" } else { "PM" });
                let (hour, half) = twelve(h);
                format!("05/{d:02}/2024 {hour:02}:{m:02}:00 {half}")
            })),
            minute,
            false,
        ),
        ("x", Box::new(clock(|d, h, m| format!("{d:02}-May-2024 {h:02}:{m:02}:00"))), minute, false),
        ("x", Box::new(clock(|d, h, m| format!("2024050{d}{h:02}{m:02}00"))), None, false),
        ("timestamp", Box::new(clock(|d, h, m| format!("2024050{d}{h:02}{m:02}00"))), minute, false),
        ("Time", Box::new(clock(|_, h, m| format!("{h:02}:{m:02}:00"))), minute, false),
    ];
    for (name, field, rate, is_sensor) in cases {
        let text = table(name, &*field);
        let (columns, found, pieces) = inspected(&place, &text, "");
        let context = format!("{name}: {}", text.lines().nth(1).unwrap());
        let expected: &[&str] = if is_sensor { &[name, "flow", "pressure"] } else { &["flow", "pressure"] };
        assert_eq!(columns, expected, "{context}");
        let is_right = match (rate, found) {
            (Some(rate), Some(found)) => (found / rate - 1.0).abs() < 1e-3,
            (rate, found) => rate == found,
        };
        assert!(is_right, "{context}: {found:?} where {rate:?} belongs");
        assert_eq!(pieces, if name == "sample" { 4 } else { 1 }, "{context}");
    }
}

#[test]
fn what_the_program_takes_for_something_else_can_be_said() {
    let place = Workplace::new();
    let counting = table("meter", &|row| (500 + row).to_string());
    assert_eq!(inspected(&place, &counting, "").0, ["flow", "pressure"]);
    assert_eq!(inspected(&place, &counting, "--keep meter").0, ["meter", "flow", "pressure"]);
    let rate = inspected(&place, &counting, "--time meter --time-unit ms").1.unwrap();
    assert!((rate - 1000.0).abs() < 1e-6);
    let unclear = table("time", &|row| (10 * row).to_string());
    place.write("t.csv", &unclear);
    assert!(place.succeed("inspect t.csv").contains("its unit is not clear: a row every 10; give --time-unit s, ms"));
    let rate = inspected(&place, &unclear, "--time-unit ms").1.unwrap();
    assert!((rate - 100.0).abs() < 1e-6);
    place.succeed("fit t.csv --window 4 --epochs 1 --out run");
    let refused = place.fail("calibrate run --normal t.csv --alarms 1/hour --force");
    assert!(refused.contains("column `time` does not tell them: its unit is not clear"), "{refused}");
    place.write("t.csv", table("flow2", &|row| ((row * 37) % 101).to_string()));
    assert!(place.fail("inspect t.csv --time flow2").contains("`flow2` does not count up, as a clock does"));
    assert!(place.fail("inspect t.csv --keep nothing").contains("no column `nothing` for --keep"));
    // Two columns that are one clock, over midnight.
    let mut text = String::from("Date,Time,flow\n");
    for row in 0..ROWS {
        let (day, hour, minute) = hh_mm(row);
        writeln!(text, "2024-05-{day:02},{hour:02}:{minute:02}:00,{}", measured(row)[0]).unwrap();
    }
    let (columns, rate, pieces) = inspected(&place, &text, "");
    assert!((60.0 * rate.unwrap() - 1.0).abs() < 1e-9 && pieces == 1 && columns == ["flow"]);
}

#[test]
fn recordings_end_where_the_clock_leaps_or_begins_anew_and_where_the_group_changes() {
    let place = Workplace::new();
    let of =
        |name: &str, field: &dyn Fn(usize) -> String, options: &str| inspected(&place, &table(name, field), options);
    let gap = |row: usize| if row < 150 { 0.0 } else { 60.0 };
    assert_eq!(of("time", &|row| format!("{:.2}", 0.01 * row as f64 + gap(row)), "").2, 2);
    let (_, rate, pieces) = of("millis", &|row| (317 + 1000 * (row % 50)).to_string(), "");
    assert!((rate.unwrap() - 1.0).abs() < 1e-9 && pieces == 8);
    // Engines one after the other, and their cycles.
    let mut engines = String::from("unit,cycle,s2\n");
    let mut mixed = String::from("machine,s2\n");
    for row in 0..ROWS {
        writeln!(engines, "{},{},{}", 1 + row / 80, 1 + row % 80, measured(row)[0]).unwrap();
        writeln!(mixed, "pump-{},{}", row % 4, measured(row)[0]).unwrap();
    }
    let (columns, _, pieces) = inspected(&place, &engines, "");
    assert_eq!((columns, pieces), (vec!["s2".to_owned()], 5));
    let said = place.succeed("inspect t.csv");
    assert!(said.contains("unit: says which machine or run a row is of") && said.contains("cycle: counts"), "{said}");
    place.write("t.csv", &mixed);
    let said = place.succeed("inspect t.csv");
    assert!(said.contains("`machine` may say of which device a row is") && said.contains("--group machine"), "{said}");
    assert_eq!(inspected(&place, &mixed, "--group machine").2, 4);
    // A header that is written again.
    let again = table("x", &|row| measured(row)[1].to_string());
    let again = format!("{again}{again}");
    let (_, _, pieces) = inspected(&place, &again, "");
    assert_eq!(pieces, 2);
}

#[test]
fn intervals_that_scatter_are_said_and_give_no_false_rate() {
    let place = Workplace::new();
    // Exponential intervals of 60 s on average.
    let mut now = 1_714_603_200.0;
    let times: Vec<String> = (0..ROWS)
        .map(|row| {
            now -= 60.0 * (1.0 - ((row * 149 % ROWS) as f64 + 0.5) / ROWS as f64).ln();
            format!("{now:.3}")
        })
        .collect();
    let (_, rate, pieces) = inspected(&place, &table("time", &|row| times[row].clone()), "");
    assert!((60.0 * rate.unwrap() - 1.0).abs() < 0.01 && pieces == 1, "{rate:?}");
    assert!(place.succeed("inspect t.csv").contains("of the intervals are more than a fifth off their median"));
    // Now and then a row, then many at once: a rate by the day would say nothing.
    let mut now = 0.0;
    let bursts: Vec<String> = (0..ROWS)
        .map(|row| {
            now += if row % 10 == 0 { 30.0 + row as f64 } else { 1.0 + 2.0 * ((row * 7) % 5) as f64 / 5.0 };
            format!("{now:.3}")
        })
        .collect();
    place.write("t.csv", table("time", &|row| bursts[row].clone()));
    place.succeed("fit t.csv --epochs 1 --out run");
    // An hourly series is no "0.000 windows a second".
    place.write("t.csv", table("time", &|row| (1_714_603_200 + 3600 * row).to_string()));
    let said = String::from_utf8(place.run("calibrate run --normal t.csv --force").stdout).unwrap();
    assert!(said.contains("with one every 1.0 h") && !said.contains("0.000"), "{said}");
}

#[test]
fn what_surrounds_the_rows_changes_nothing() {
    let place = Workplace::new();
    let plain = table("time", &|row| row.to_string());
    let (header, rows) = plain.split_once('\n').unwrap();
    let columns = |text: &[u8], options: &str| {
        place.write("t.csv", text);
        let found = place.json(&format!("inspect t.csv {options}"));
        (found["columns"].clone(), found["rate"].clone())
    };
    let expected = columns(plain.as_bytes(), "");
    assert_eq!(expected.1, Value::from(1.0));
    let units = format!("{header}\ns,l/min,bar\n{rows}");
    let utf16: Vec<u8> = format!("\u{feff}{plain}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (text, options) in [
        (format!("SD card online\nIMU online\n{plain}").into_bytes(), ""),
        (format!("Device,PLC-7,2\nFirmware,1.2,77\n{plain}").into_bytes(), ""),
        (format!("# logger\n# rate 1 Hz\n{plain}").into_bytes(), ""),
        (format!("1,2,3\na,b,c\n{plain}").into_bytes(), "--skip-lines 2"),
        (format!("sep=;\n{}", plain.replace(',', ";").replace('.', ",")).into_bytes(), ""),
        (plain.replace(',', "\t").into_bytes(), ""),
        (plain.replace(',', "|").into_bytes(), ""),
        (plain.replace(',', "   ").into_bytes(), ""),
        (format!("{header}\n{}", rows.replace('\n', ",\n")).into_bytes(), ""),
        (units.into_bytes(), ""),
        (plain.replace('\n', "\r").into_bytes(), ""),
        (utf16, ""),
        (big, ""),
    ] {
        assert_eq!(columns(&text, options), expected, "{}", String::from_utf8_lossy(&text[..60.min(text.len())]));
    }
    // A name in another code page, and one with separators in quotation marks.
    let latin = [b"time,\xd6l-Temp. (\xb0C),pressure\n", rows.as_bytes()].concat();
    place.write("t.csv", &latin);
    let said = place.succeed("inspect t.csv");
    assert!(said.contains("Öl-Temp. (°C)") && said.contains("iconv -f CP1252 -t UTF-8"), "{said}");
    let quoted =
        format!("time;\"Flow, l/min\";\"Pressure, bar, probe 2\"\n{}", rows.replace(',', ";").replace('.', ","));
    assert_eq!(inspected(&place, &quoted, "").0, ["Flow, l/min", "Pressure, bar, probe 2"]);
}

#[test]
fn fillers_are_asked_about_and_words_for_missing_are_taken() {
    let place = Workplace::new();
    let with = |filler: &str| {
        let mut text = String::from("time,flow,pressure\n");
        for row in 0..ROWS {
            let [flow, pressure] = measured(row);
            let pressure = if row % 40 == 7 { filler.to_owned() } else { format!("{pressure:.3}") };
            writeln!(text, "{row},{flow:.2},{pressure}").unwrap();
        }
        text
    };
    let columns = |text: &str, options: &str| {
        place.write("t.csv", text);
        place.json(&format!("inspect t.csv {options}"))["columns"].clone()
    };
    let empty = columns(&with(""), "");
    assert!((empty[1]["missing"].as_f64().unwrap() - 0.025).abs() < 1e-9);
    for word in ["N/A", "null", "-", "unavailable", "?", "\"NULL\"", "nan(ind)"] {
        assert_eq!(columns(&with(word), ""), empty, "{word}");
        let said = place.succeed("inspect t.csv");
        assert!(said.contains("column `pressure`: 10 field(s), such as"), "{word}: {said}");
    }
    for filler in ["-999", "0", "65535"] {
        place.write("t.csv", with(filler));
        for verb in ["inspect t.csv", "fit t.csv --epochs 1 --out run --force"] {
            let output = place.run(verb);
            let said = message(&output) + &String::from_utf8(output.stdout).unwrap();
            let question = format!("10 rows are exactly {filler}, far from all others");
            assert!(said.contains(&question) && said.contains(&format!("--missing {filler}")), "{verb}: {said}");
        }
        assert_eq!(columns(&with(filler), &format!("--missing {filler}")), empty, "{filler}");
    }
    // A word that nobody knows: never the advice to leave a column of numbers out.
    place.write("t.csv", with("off"));
    let refused = place.fail("fit t.csv --epochs 1 --out run --force");
    assert!(refused.contains("give --missing off") && !refused.contains("--ignore"), "{refused}");
    assert_eq!(columns(&with("off"), "--missing off"), empty);
}

#[test]
fn labels_may_be_written_in_many_ways_and_are_not_trained_on() {
    let place = Workplace::new();
    let with = |name: &str, normal: &str, anomaly: &str| {
        let mut text = format!("flow,pressure,{name}\n");
        for row in 0..ROWS {
            let [flow, pressure] = measured(row);
            let is_anomaly = row % 100 == 99;
            let flow = if is_anomaly { flow + 60.0 } else { flow };
            writeln!(text, "{flow:.2},{pressure:.3},{}", if is_anomaly { anomaly } else { normal }).unwrap();
        }
        text
    };
    let anomalies = |text: String, options: &str| {
        place.write("t.csv", text);
        place.json(&format!("inspect t.csv {options}"))["anomalies"].clone()
    };
    for (normal, anomaly, options) in [
        ("0", "1", ""),
        ("False", "True", ""),
        ("no", "yes", ""),
        ("1", "-1", ""),
        ("normal", "fault", "--anomaly-label fault"),
        ("1", "0", "--anomaly-label 0"),
    ] {
        assert_eq!(anomalies(with("label", normal, anomaly), options), Value::from(4), "{normal} {anomaly}");
    }
    assert_eq!(anomalies(with("Label", "0", "1"), ""), Value::from(4));
    place.write("t.csv", with("label", "normal", "fault"));
    assert!(place.fail("fit t.csv --out run").contains("give --anomaly-label fault"));
    place.write("t.csv", with("label", "1", "0"));
    assert!(place.succeed("inspect t.csv").contains("396 of 400 rows are labelled anomalies, more than half"));
    // One that nobody named.
    place.write("t.csv", with("anomaly", "0.0", "1.0"));
    let output = place.run("fit t.csv --epochs 1 --out run");
    assert!(message(&output).contains("column `anomaly` looks like a label and is left out: --label anomaly"));
    let summary = fs::read_to_string(place.path("run/summary.json")).unwrap();
    let fitted: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(fitted["features"], Value::from(2));
    assert_eq!(place.json("inspect t.csv --keep anomaly")["columns"].as_array().unwrap().len(), 3);
}

#[test]
fn intervals_in_a_file_of_their_own_are_labels() {
    let place = Workplace::new();
    let text = table("time", &|row| {
        let (day, hour, minute) = hh_mm(row);
        format!("2024-05-{day:02} {hour:02}:{minute:02}:00")
    });
    place.write("t.csv", &text);
    // Rows 20 to 30, and 100.
    place.write(
        "faults.csv",
        "start,end\n2024-05-01 23:00:00,2024-05-01 23:10:00\n2024-05-02 00:20:00,2024-05-02 00:20:30\n",
    );
    let found = place.json("inspect t.csv --label-intervals faults.csv");
    assert_eq!(found["anomalies"], Value::from(12));
    place.succeed("fit t.csv --window 4 --epochs 1 --out run --label-intervals faults.csv");
    place.succeed("export run --out model.vae --force");
    let found = place.json("evaluate model.vae t.csv --label-intervals faults.csv");
    assert_eq!(found["events"]["events"].as_array().map(Vec::len), Some(2), "{found}");
    place.write("none.csv", "2030-01-01,2030-01-02\n");
    assert!(place.fail("inspect t.csv --label-intervals none.csv").contains("none of its 1 interval(s) holds a row"));
}

#[test]
fn data_of_another_rate_are_refused_unless_that_is_meant() {
    let place = Workplace::new();
    let at = |interval: f64| table("time", &|row| format!("{:.4}", interval * row as f64));
    place.write("train.csv", at(0.0025));
    place.succeed("fit train.csv --window 8 --epochs 2 --out run");
    place.succeed("calibrate run --normal train.csv --force");
    place.succeed("export run --out model.vae --force");
    place.succeed("score model.vae train.csv --out same.csv");
    place.write("slow.csv", at(0.005));
    let refused = place.fail("score model.vae slow.csv --out slow-scores.csv");
    assert!(refused.contains("200 rows a second, by column `time`, and the model was calibrated for 400"), "{refused}");
    assert!(!place.path("slow-scores.csv").exists());
    place.succeed("score model.vae slow.csv --out slow-scores.csv --other-rate");
}

#[test]
fn the_next_step_that_inspect_names_can_be_taken() {
    let place = Workplace::new();
    let mut export = String::from("created_at,entry_id,field1,field2,status,device\n");
    for row in 0..ROWS {
        let [flow, pressure] = measured(row);
        let (day, hour, minute) = hh_mm(row);
        writeln!(
            export,
            "2024-05-{day:02} {hour:02}:{minute:02}:00 UTC,{row},{flow:.2},{pressure:.3},,pump-{}",
            row / 200
        )
        .unwrap();
    }
    for text in [table("", &|row| row.to_string()), table("millis", &|row| (row % 50 * 1000).to_string()), export] {
        place.write("my data.csv", &text);
        let output = place.command("inspect").arg("my data.csv").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let next =
            said.lines().find_map(|line| line.strip_prefix("next: vae-train ")).unwrap_or_else(|| panic!("{said}"));
        let next =
            next.replace("'my data.csv'", "my\u{0}data.csv").replace("--out runs/a", "--out run --epochs 1 --force");
        let arguments = next.split_whitespace().map(|word| word.replace('\u{0}', " "));
        let output = place.command("").args(arguments).output().unwrap();
        assert!(output.status.success(), "{next}: {}", message(&output));
        // And says what inspect says.
        assert!(message(&output).contains("left out"), "{}", message(&output));
    }
}
