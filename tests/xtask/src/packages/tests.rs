use std::collections::BTreeMap;

use super::*;

/// Libraries that say which they are.
fn libraries() -> Libraries {
    let pairs = Target::ALL.into_iter().flat_map(|target| [(target, Variant::Plain), (target, Variant::Full)]);
    pairs.map(|(target, variant)| ((target, variant), format!("{target:?} {variant:?}").into_bytes())).collect()
}

fn packed(ecosystem: Ecosystem) -> Tree {
    tree(&Repository::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap(), ecosystem, &libraries()).unwrap()
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.get(path).unwrap_or_else(|| panic!("no {path}")).to_vec()).unwrap()
}

#[test]
fn every_package_has_the_header_the_licences_the_example_and_says_how_far_it_was_tried() {
    for ecosystem in Ecosystem::ALL {
        let tree = packed(ecosystem);
        for path in ["LICENSE-MIT", "LICENSE-APACHE", ecosystem.header(), &format!("{}/motor.c", ecosystem.example())] {
            assert!(tree.get(path).is_some(), "{ecosystem:?}: {path}");
        }
        let readme = text(&tree, "README.md");
        assert!(readme.contains("**Tried**") && readme.contains("**Not tried**"), "{ecosystem:?}");
        for path in tree.paths() {
            let content = String::from_utf8_lossy(tree.get(path).unwrap());
            let mut words = ["@VERSION@", "@TARGETS@", "@HOME@", "@URL@", "@DOWNLOADS@"].into_iter();
            let placeholder = words.find(|word| content.contains(word));
            assert_eq!(placeholder, None, "{ecosystem:?}: {path}");
        }
    }
}

#[test]
fn every_library_is_in_each_package_that_has_cores_of_its_kind() {
    for ecosystem in Ecosystem::ALL {
        let tree = packed(ecosystem);
        let archives: Vec<_> = tree.paths().filter(|path| path.ends_with(".a")).map(|path| text(&tree, path)).collect();
        let mut distinct = archives.clone();
        distinct.sort();
        distinct.dedup();
        let expected = match ecosystem {
            Ecosystem::Cmake | Ecosystem::Zephyr | Ecosystem::Platformio => 18,
            Ecosystem::EspIdf => 4,
            Ecosystem::Arduino => 9,
            Ecosystem::CmsisPack => 14,
        };
        assert_eq!(distinct.len(), expected, "{ecosystem:?}: {archives:?}");
    }
}

#[test]
fn the_pack_names_only_files_that_are_there_and_all_libraries() {
    let tree = packed(Ecosystem::CmsisPack);
    let description = text(&tree, "vae.detector.pdsc");
    let document = roxmltree::Document::parse(&description).unwrap();
    let attributes = |element: &str, name: &str| -> Vec<String> {
        let nodes = document.descendants().filter(|node| node.has_tag_name(element));
        nodes.filter_map(|node| node.attribute(name).map(str::to_owned)).collect()
    };
    let files = attributes("file", "name");
    for file in files.iter().chain(&attributes("license", "name")) {
        assert!(tree.get(file).is_some(), "{file}");
    }
    for library in tree.paths().filter(|path| path.ends_with(".a")) {
        assert!(files.contains(&library.to_owned()), "{library}");
    }
    let conditions = attributes("condition", "id");
    let used =
        [attributes("file", "condition"), attributes("component", "condition"), attributes("accept", "condition")];
    assert!(used.iter().flatten().all(|used| conditions.contains(used)), "{used:?}, {conditions:?}");
    assert_eq!(
        attributes("release", "version"),
        [Repository::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().version().unwrap()]
    );
}

/// Each core in at most one condition, or a tool would link two libraries.
#[test]
fn no_core_has_two_libraries_in_the_pack() {
    let description = text(&packed(Ecosystem::CmsisPack), "vae.detector.pdsc");
    let document = roxmltree::Document::parse(&description).unwrap();
    let mut cores: BTreeMap<Vec<(&str, &str)>, usize> = BTreeMap::new();
    for node in
        document.descendants().filter(|node| node.has_tag_name("accept") && node.attribute("condition").is_none())
    {
        *cores
            .entry(node.attributes().map(|attribute| (attribute.name(), attribute.value())).collect())
            .or_default() += 1;
    }
    assert!(cores.len() > 20 && cores.values().all(|count| *count == 1), "{cores:?}");
}

#[test]
fn a_pack_of_some_libraries_names_no_others() {
    let some = libraries().into_iter().filter(|((target, _), _)| *target == Target::Armv6M).collect();
    let tree =
        tree(&Repository::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap(), Ecosystem::CmsisPack, &some).unwrap();
    let description = text(&tree, "vae.detector.pdsc");
    let document = roxmltree::Document::parse(&description).unwrap();
    let named =
        document.descendants().filter_map(|node| node.attribute("name")).filter(|name| name.starts_with("lib/"));
    assert_eq!(named.collect::<Vec<_>>(), ["lib/thumbv6m-none-eabi/libvae.a", "lib/thumbv6m-none-eabi/libvae_full.a"]);
}

/// By Arduino's library specification, revision 2.2.
#[test]
fn arduinos_properties_are_as_specified() {
    let properties = text(&packed(Ecosystem::Arduino), "library.properties");
    let fields: BTreeMap<&str, &str> = properties.lines().map(|line| line.split_once('=').unwrap()).collect();
    for field in ["name", "version", "author", "maintainer", "sentence", "paragraph", "category", "architectures"] {
        assert!(fields.get(field).is_some_and(|value| !value.is_empty()), "{field}");
    }
    assert!(fields["url"].starts_with("https://"));
    assert!(fields["category"] == "Data Processing" && fields["precompiled"] == "full" && fields["ldflags"] == "-lvae");
    assert_eq!(fields["version"].split('.').filter(|number| number.parse::<u32>().is_ok()).count(), 3);
    assert!(!fields["paragraph"].starts_with(fields["sentence"]), "the paragraph goes on from the sentence");
}

#[test]
fn platformios_manifest_names_files_that_are_there() {
    let tree = packed(Ecosystem::Platformio);
    let manifest: serde_json::Value = serde_json::from_str(&text(&tree, "library.json")).unwrap();
    let example = &manifest["examples"][0];
    let base = example["base"].as_str().unwrap();
    for file in example["files"].as_array().unwrap() {
        let path = format!("{base}/{}", file.as_str().unwrap());
        assert!(tree.get(&path).is_some(), "{path}");
    }
    let script = manifest["build"]["extraScript"].as_str().unwrap();
    assert!(tree.get(script).is_some() && tree.get("vae-target.c").is_some());
}

#[test]
fn the_examples_arrays_are_the_models_bytes_and_the_streams_values() {
    let stream: Vec<f32> = vec![0.1, -2.5e-7, 3.0, 1.0e20, -0.0, 16_777_216.0];
    let bytes: Vec<u8> = stream.iter().flat_map(|value| value.to_le_bytes()).collect();
    let header = model_header(&[1, 2, 255], &bytes).unwrap();
    assert!(header.contains("#define MODEL_FILE_LEN 3u\n") && header.contains(" 1, 2, 255,\n"), "{header}");
    let (_, body) = header.split_once("stream[STREAM_LEN][CHANNELS] = {").unwrap();
    let values = body.split(['{', '}', ',', '\n', ' ']).filter_map(|word| word.strip_suffix('f')?.parse::<f32>().ok());
    assert_eq!(
        values.map(f32::to_bits).collect::<Vec<_>>(),
        stream.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    );
}
