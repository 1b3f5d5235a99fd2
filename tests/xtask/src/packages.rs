//! The packages of the C interface: for each ecosystem the files that it wants, beside the libraries, the header, the licences and the example.
//!
//! What does not depend on the libraries stands in `vae-core/c/packages`, as it is packed, with `@VERSION@` and the like.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;

use crate::{
    archive::{Tree, files_below, write as write_file},
    libraries::{Libraries, Target, Variant},
    repository::Repository,
    source_text::c_array,
};

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ecosystem {
    /// `find_package(vae)`.
    Cmake,
    /// A module of Zephyr.
    Zephyr,
    /// A component of ESP-IDF.
    EspIdf,
    /// A library of PlatformIO.
    Platformio,
    /// A precompiled library of Arduino.
    Arduino,
    /// An Open-CMSIS-Pack.
    CmsisPack,
}

/// A package that was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: usize,
}

impl Ecosystem {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cmake, Self::Zephyr, Self::EspIdf, Self::Platformio, Self::Arduino, Self::CmsisPack];

    /// The folder of its files in `vae-core/c/packages`.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The package's file name.
    fn file(self, version: &str) -> String {
        match self {
            Self::CmsisPack => format!("vae.detector.{version}.pack"),
            Self::Arduino => format!("vae-{version}-arduino.zip"),
            _ => format!("vae-{version}-{}.tar.gz", self.name()),
        }
    }

    /// The folder that all of it is in.
    fn root(self, version: &str) -> Option<String> {
        match self {
            Self::CmsisPack => None,
            Self::Cmake => Some(format!("vae-{version}-cmake")),
            _ => Some("vae".to_owned()),
        }
    }

    /// Where the header is.
    fn header(self) -> &'static str {
        if self == Self::Arduino { "src/vae.h" } else { "include/vae.h" }
    }

    /// Where the example's sources are.
    fn example(self) -> &'static str {
        match self {
            Self::Cmake | Self::CmsisPack => "example",
            Self::Zephyr => "samples/motor/src",
            Self::EspIdf => "examples/motor/main",
            Self::Platformio => "examples/motor/src",
            Self::Arduino => "examples/Motor",
        }
    }

    /// Where a library is; several places for Arduino, which knows cores by other names, and none where it is of no use.
    fn places(self, target: Target, variant: Variant) -> Vec<String> {
        let file = variant.file();
        match (self, target, variant) {
            (Self::EspIdf, Target::Rv32Imc | Target::Rv32Imac, _) => vec![format!("lib/{}/{file}", target.folder())],
            (Self::EspIdf, ..) | (Self::Arduino, _, Variant::Plain) => Vec::new(),
            (Self::CmsisPack, Target::Rv32Imc | Target::Rv32Imac, _) => Vec::new(),
            (Self::Arduino, _, Variant::Full) => {
                arduino_folders(target).iter().map(|folder| format!("src/{folder}/libvae.a")).collect()
            }
            _ => vec![format!("lib/{}/{file}", target.folder())],
        }
    }
}

/// What Arduino's boards call a core: `build.mcu`, and where they say it `build.fpu` and `build.float-abi`.
fn arduino_folders(target: Target) -> &'static [&'static str] {
    match target {
        Target::Armv6M => &["cortex-m0", "cortex-m0plus", "cortex-m23"],
        Target::Armv7M => &["cortex-m3"],
        Target::Armv7EM => &["cortex-m4", "cortex-m7"],
        Target::Armv7EMHard => &[
            "cortex-m4/fpv4-sp-d16-hard",
            "cortex-m7/fpv4-sp-d16-hard",
            "cortex-m7/fpv5-sp-d16-hard",
            "cortex-m7/fpv5-d16-hard",
        ],
        Target::Armv8M => &["cortex-m33", "cortex-m55", "cortex-m85"],
        Target::Armv8MHard => &["cortex-m33/fpv5-sp-d16-hard"],
        Target::Armv81MVectors => &["cortex-m55/fpv5-d16-hard", "cortex-m85/fpv5-d16-hard"],
        Target::Rv32Imc => &["esp32c2", "esp32c3"],
        Target::Rv32Imac => &["esp32c5", "esp32c6", "esp32h2"],
    }
}

/// Writes a package into a folder.
///
/// # Errors
/// If a file of the repository is missing, or the package cannot be written.
pub(crate) fn write(
    repository: &Repository,
    ecosystem: Ecosystem,
    libraries: &Libraries,
    out: &Path,
) -> Result<Written> {
    let version = repository.version()?;
    let mut tree = tree(repository, ecosystem, libraries)?;
    if let Some(root) = ecosystem.root(version) {
        tree = tree.below(&root);
    }
    let path = out.join(ecosystem.file(version));
    let bytes = match ecosystem {
        Ecosystem::Arduino | Ecosystem::CmsisPack => tree.zip()?,
        _ => tree.tar_gz()?,
    };
    write_file(&path, &bytes)?;
    Ok(Written { path, bytes: bytes.len() })
}

/// The files of a package.
fn tree(repository: &Repository, ecosystem: Ecosystem, libraries: &Libraries) -> Result<Tree> {
    let mut tree = Tree::default();
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        tree.add(name, repository.read(name)?)?;
    }
    tree.add(ecosystem.header(), repository.read("vae-core/c/include/vae.h")?)?;
    let mut targets = Vec::new();
    for ((target, variant), library) in libraries {
        let places = ecosystem.places(*target, *variant);
        if !places.is_empty() && !targets.contains(target) {
            targets.push(*target);
        }
        places.into_iter().try_for_each(|place| tree.add(place, library.clone()))?;
    }
    add_example(repository, ecosystem, &mut tree)?;
    let folder = repository.root().join("vae-core/c/packages").join(ecosystem.name());
    for path in files_below(&folder)? {
        let name = path.strip_prefix(&folder)?.components().map(|part| part.as_os_str().to_string_lossy());
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        tree.add(name.collect::<Vec<_>>().join("/"), fill(&text, repository, ecosystem, &targets)?)?;
    }
    if ecosystem == Ecosystem::Platformio {
        tree.add("vae-target.c", repository.read("vae-core/c/packages/cmake/lib/cmake/vae/vae-target.c")?)?;
    }
    Ok(tree)
}

/// The example's sources; with the model in its file for gcc's assembler, and as an array for the others.
fn add_example(repository: &Repository, ecosystem: Ecosystem, tree: &mut Tree) -> Result<()> {
    let folder = ecosystem.example();
    let mut add =
        |from: &str, name: &str| tree.add(format!("{folder}/{name}"), repository.read(&format!("{from}/{name}"))?);
    let example = "vae-core/c/example";
    add(example, "motor.c")?;
    add(example, "port.h")?;
    if ecosystem == Ecosystem::Cmake {
        for name in ["main.c", "model.S", "model.h", "mps2.c", "mps2.ld"] {
            add(example, name)?;
        }
        add("firmware-example/model", "motor.vae")?;
        add("firmware-example/model", "stream.f32")
    } else {
        let (model, stream) = (
            repository.read("firmware-example/model/motor.vae")?,
            repository.read("firmware-example/model/stream.f32")?,
        );
        tree.add(format!("{folder}/model.h"), model_header(&model, &stream)?)
    }
}

/// What stands in the place of `model.h` of the repository's example: the model and the stream as arrays.
fn model_header(model: &[u8], stream: &[u8]) -> Result<String> {
    let values: Vec<f32> = stream.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let samples = values.as_chunks::<3>().0;
    let model = c_array("model_file", model);
    let mut text = format!(
        "/* The demo's model, as `vae-train export --c-array` writes it, and a recorded stream of acceleration in g. */\n#ifndef MODEL_H\n\
         #define MODEL_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n#define CHANNELS 3\n\n{model}\n/* Samples. */\n#define STREAM_LEN {}u\n\n\
         static const float stream[STREAM_LEN][CHANNELS] = {{\n",
        samples.len()
    );
    for [x, y, z] in samples {
        // The shortest digits that give the same bits.
        writeln!(text, "    {{{x:?}f, {y:?}f, {z:?}f}},")?;
    }
    text.push_str("};\n\n#endif\n");
    Ok(text)
}

/// A file of `vae-core/c/packages` with what depends on the release and on the libraries that were built.
fn fill(text: &str, repository: &Repository, ecosystem: Ecosystem, targets: &[Target]) -> Result<String> {
    let home = repository.home();
    let (url, downloads) = match home {
        Some(home) => (format!("url: {home}\n"), format!("{home}/releases/latest/download/")),
        None => Default::default(),
    };
    let text =
        text.replace("@VERSION@", repository.version()?).replace("@URL@", &url).replace("@DOWNLOADS@", &downloads);
    // Arduino wants a page in any case.
    let text = text.replace("@HOME@", home.unwrap_or("https://docs.rs/vae-core"));
    let filled = text.replace("@TARGETS@", table(ecosystem, targets)?.trim_end());
    // A pack names its libraries one a line.
    let missing = Target::ALL
        .into_iter()
        .filter(|target| !targets.contains(target))
        .map(|target| format!("lib/{}/", target.folder()));
    let missing: Vec<String> = if ecosystem == Ecosystem::CmsisPack { missing.collect() } else { Vec::new() };
    let kept = filled.lines().filter(|line| !missing.iter().any(|folder| line.contains(&**folder)));
    let filled = kept.map(|line| format!("{line}\n")).collect::<String>();
    ensure!(!filled.contains("@TARGETS@") && !filled.contains("@VERSION@"), "a placeholder is left");
    Ok(filled)
}

/// The README's table of libraries.
fn table(ecosystem: Ecosystem, targets: &[Target]) -> Result<String> {
    let mut text = String::from("| folder | core | flags of gcc |\n|---|---|---|\n");
    for target in targets {
        let (cores, flags) = target.cores();
        let folders = match ecosystem {
            Ecosystem::Arduino => arduino_folders(*target).join("`, `"),
            _ => target.folder(),
        };
        writeln!(text, "| `{folders}` | {cores} | `{flags}` |")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
