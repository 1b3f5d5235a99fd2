//! A history in an object store, which is a thread of the test: as much of S3's interface as is asked for.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::Arc,
    thread,
};

use serde_json::Value;

use crate::{
    device::{motor_model, verdicts},
    motor::{Condition, Individual},
    recording::{Recording, parquet},
};

type Objects = Arc<BTreeMap<String, Vec<u8>>>;

/// Answers one request of those that a reader makes: a list, an object's size, a part of an object.
fn answer(mut stream: TcpStream, objects: &Objects) {
    let (mut request, mut range) = (String::new(), None);
    for line in BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((_, bytes)) = line.to_ascii_lowercase().split_once("range: bytes=") {
            let (first, last) = bytes.split_once('-').unwrap();
            range = Some((first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap()));
        }
        if request.is_empty() {
            request = line;
        }
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = path.strip_prefix("/plant/").unwrap_or_default().replace("%3D", "=");
    let (status, more, body) = match objects.get(&key) {
        _ if query.contains("list-type=2") => ("200 OK", String::new(), list(objects).into_bytes()),
        None => ("404 Not Found", String::new(), Vec::new()),
        Some(object) => match range {
            Some((first, last)) => {
                let last = last.min(object.len() - 1);
                let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", object.len());
                ("206 Partial Content", range, object[first..=last].to_vec())
            }
            None => ("200 OK", String::new(), object.clone()),
        },
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    if method != "HEAD" {
        stream.write_all(&body).unwrap();
    }
}

fn list(objects: &Objects) -> String {
    let contents = objects.iter().map(|(key, object)| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>{}</Size></Contents>",
            object.len()
        )
    });
    let contents: String = contents.collect();
    format!("<ListBucketResult><Name>plant</Name><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
}

/// Serves objects until the tests end; returns the address.
fn store(objects: Objects) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            thread::spawn(move || answer(stream, &objects));
        }
    });
    address
}

fn vae_fleet(folder: &Path, address: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vae-fleet"));
    command.current_dir(folder).args(arguments).env("AWS_ENDPOINT", address);
    command.env("AWS_ALLOW_HTTP", "true").env("AWS_SKIP_SIGNATURE", "true").output().unwrap()
}

#[test]
fn a_history_in_a_store_is_judged_as_one_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recording = Recording::of("a", Individual::TYPICAL, 21, &[(Condition::Normal, 3000)]);
    let mut objects = BTreeMap::new();
    for (index, start) in [(0, 0), (1, 1500)] {
        let path = folder.join(format!("{index}.parquet"));
        parquet(&path, &[recording.batch(false).slice(start, 1500)]);
        objects.insert(format!("history/machine=a/{index}.parquet"), fs::read(path).unwrap());
    }
    objects.insert("history/README.md".to_owned(), b"no table".to_vec());
    let address = store(Arc::new(objects));
    let model = motor_model();
    let windows = verdicts(&recording).len();
    for pattern in ["s3://plant/history/", "s3://plant/history/**/*.parquet"] {
        let backtest = ["backtest", model.to_str().unwrap(), pattern, "--by", "machine", "--json"];
        let output = vae_fleet(folder, &address, &backtest);
        assert!(output.status.success(), "{pattern}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["machines"][0]["windows"], windows, "{pattern}: {found}");
        assert_eq!(found["machines"].as_array().unwrap().len(), 1);
    }
    let sql = "SELECT count(*) AS n FROM 's3://plant/history/machine=a/0.parquet'";
    let output = vae_fleet(folder, &address, &["query", sql]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "n\n1500",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
