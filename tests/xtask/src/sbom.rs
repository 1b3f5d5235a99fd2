//! Bills of materials: what a package's binaries were made of, as CycloneDX 1.5 in JSON.
//!
//! Sources: <https://cyclonedx.org/docs/1.5/json/>; names of packages, <https://github.com/package-url/purl-spec>.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use toml::Table;

use crate::{
    libraries::{cargo, run},
    repository::table,
};

/// What the binaries were built from.
#[derive(Debug)]
pub(crate) struct Built<'b> {
    /// The folder of the workspace, with its lock file.
    pub(crate) workspace: &'b Path,
    /// The package whose program or library it is.
    pub(crate) package: &'b str,
    /// Its features, by commas.
    pub(crate) features: &'b str,
    /// Where it runs, as Rust calls it.
    pub(crate) triple: &'b str,
    /// What the file is called that the bill is for.
    pub(crate) file: &'b str,
}

/// The bill of a package: each crate that is linked, its version, licence and checksum, and what it needs; and Rust's own library. What only
/// builds or tests is not in it. Features are those of the whole workspace: a crate too many may be named, none too few.
///
/// # Errors
/// If cargo cannot say what the package needs.
pub(crate) fn of(built: &Built<'_>) -> Result<Vec<u8>> {
    let metadata = metadata(built)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let by_id: BTreeMap<&str, &Value> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let root = packages.iter().find(|package| package["name"] == built.package);
    let root =
        root.and_then(|package| package["id"].as_str()).with_context(|| format!("there is no {}", built.package))?;
    let needs = needs(&metadata)?;
    let mut linked = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        if linked.insert(id) {
            waiting.extend(needs.get(id).into_iter().flatten());
        }
    }
    let checksums = checksums(&table(&built.workspace.join("Cargo.lock"))?);
    let component = |id: &str| by_id.get(id).map(|package| component(package, &checksums));
    let rust = rust()?;
    let (mut components, mut dependencies) = (vec![rust.clone()], Vec::new());
    for id in &linked {
        let (Some(package), needed) = (by_id.get(id), needs.get(id)) else { continue };
        let names = needed.into_iter().flatten().filter_map(|id| by_id.get(id)).map(|package| name(package));
        let names: BTreeSet<String> = names.chain([rust["bom-ref"].as_str().unwrap_or_default().to_owned()]).collect();
        dependencies.push(json!({ "ref": name(package), "dependsOn": names }));
        if *id != root {
            components.extend(component(id));
        }
    }
    // Ids hold this machine's paths: names stand in order, whatever the ids are.
    components.sort_by_key(|component| component["bom-ref"].as_str().map(str::to_owned));
    dependencies.sort_by_key(|dependency| dependency["ref"].as_str().map(str::to_owned));
    let mut main = component(root).context("the package is not among the packages")?;
    main["type"] = "application".into();
    let properties = json!([
        { "name": "file", "value": built.file },
        { "name": "cargo:features", "value": built.features },
        { "name": "cargo:target", "value": built.triple },
    ]);
    let metadata = json!({ "component": main, "properties": properties });
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    });
    let serial = serial(&serde_json::to_vec(&bill)?);
    bill["serialNumber"] = serial.into();
    let mut text = serde_json::to_vec_pretty(&bill)?;
    text.push(b'\n');
    Ok(text)
}

fn metadata(built: &Built<'_>) -> Result<Value> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", built.triple]);
    if !built.features.is_empty() {
        cargo.args(["--features", built.features]);
    }
    Ok(serde_json::from_slice(&run(cargo.current_dir(built.workspace))?)?)
}

/// The packages that each is linked with, by their ids.
fn needs(metadata: &Value) -> Result<BTreeMap<&str, Vec<&str>>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata resolves nothing")?;
    let mut needs = BTreeMap::new();
    for node in nodes {
        let is_linked =
            |need: &&Value| need["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null());
        let linked = node["deps"].as_array().into_iter().flatten().filter(is_linked);
        if let Some(id) = node["id"].as_str() {
            needs.insert(id, linked.filter_map(|need| need["pkg"].as_str()).collect());
        }
    }
    Ok(needs)
}

/// The lock file's checksums, by name and version.
fn checksums(lock: &Table) -> BTreeMap<(String, String), String> {
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    packages
        .filter_map(|package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?)))
        .collect()
}

/// A package's name to others.
fn name(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version").replace('+', "%2B"))
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut component = Map::new();
    component.insert("type".into(), "library".into());
    component.insert("bom-ref".into(), name(package).into());
    component.insert("name".into(), text("name").into());
    component.insert("version".into(), text("version").into());
    component.insert("purl".into(), name(package).into());
    if let Some(licence) = package["license"].as_str() {
        // As older manifests write `OR`.
        component.insert("licenses".into(), json!([{ "expression": licence.replace('/', " OR ").replace("  ", " ") }]));
    }
    if let Some(checksum) = checksums.get(&(text("name"), text("version"))) {
        component.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    Value::Object(component)
}

/// Rust's own library, which is linked with everything.
fn rust() -> Result<Value> {
    let printed = String::from_utf8(run(Command::new("rustc").arg("-vV"))?)?;
    let field = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    let version = field("release: ");
    Ok(json!({
        "type": "library",
        "bom-ref": format!("pkg:generic/rust-std@{version}"),
        "name": "rust-std",
        "version": version,
        "purl": format!("pkg:generic/rust-std@{version}"),
        "description": format!("Rust's core library and compiler support, commit {}", field("commit-hash: ")),
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    }))
}

/// A number that is the same for the same bill, in the form of a random UUID (RFC 9562, version 8).
fn serial(bill: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(Sha256::digest(bill)).for_each(|(byte, digest)| *byte = digest);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Repository;

    fn bill() -> Value {
        let repository = Repository::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let built = Built {
            workspace: &repository.root().join("vae-core/c"),
            package: "vae-core-c",
            features: "spectrum",
            triple: "thumbv7em-none-eabihf",
            file: "vae.tar.gz",
        };
        let bytes = of(&built).unwrap();
        assert_eq!(bytes, of(&built).unwrap());
        assert!(
            !String::from_utf8_lossy(&bytes).contains(&*repository.root().to_string_lossy()),
            "a path of this machine"
        );
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_bill_names_what_is_linked_with_its_licence_and_checksum_and_not_what_only_builds() {
        let bill = bill();
        let components = bill["components"].as_array().unwrap();
        let find = |name: &str| components.iter().find(|component| component["name"] == name);
        for name in ["vae-core", "libm", "postcard", "microfft", "rust-std"] {
            let component = find(name).unwrap_or_else(|| panic!("no {name}"));
            assert!(component["licenses"][0]["expression"].as_str().unwrap().contains("MIT"), "{component}");
            let is_ours = ["vae-core", "rust-std"].contains(&name);
            assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), (!is_ours).then_some(64), "{name}");
        }
        // A feature that was not asked for, and what libraries only build with.
        for name in ["defmt", "ed25519-compact", "autocfg", "vae-core-c"] {
            assert!(find(name).is_none(), "{name}");
        }
        assert_eq!(bill["metadata"]["component"]["name"], "vae-core-c");
    }

    #[test]
    fn every_component_is_needed_by_another() {
        let bill = bill();
        let references = |key: &str| bill[key].as_array().unwrap().clone();
        let needed: BTreeSet<String> = references("dependencies")
            .iter()
            .flat_map(|dependency| dependency["dependsOn"].as_array().unwrap().clone())
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let named: BTreeSet<String> = references("components")
            .iter()
            .map(|component| component["bom-ref"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(needed, named);
    }
}
