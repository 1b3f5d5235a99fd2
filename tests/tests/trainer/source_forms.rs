//! A model as source text: what a C compiler, a C++ compiler and Rust's make of it is the model's file, at an address that the core can read.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use vae_tests::skip;

use crate::workplace::Workplace;

/// Prints what the array's address is beyond a multiple of four, and all its bytes.
const PROGRAM: &str = "#include <stdio.h>\n#include \"my_model.h\"\n#include \"my_model.h\"\nint main(void) {\n\
                       printf(\"%u\\n\", (unsigned)((uintptr_t)my_model % 4));\n\
                       for (unsigned i = 0; i < MY_MODEL_LEN; i++) printf(\"%u\\n\", my_model[i]);\nreturn 0; }\n";

/// Runs a compiler in a folder, then the `program` that it makes; returns its numbers, or none where there is no such compiler.
fn numbers(folder: &Path, compiler: &str, arguments: &str) -> Option<Vec<usize>> {
    if Command::new(compiler).arg("--version").output().is_err() {
        skip(&format!("needs {compiler}"));
        return None;
    }
    let succeed = |command: &mut Command| -> Vec<u8> {
        let Output { status, stdout, stderr } = command.current_dir(folder).output().unwrap();
        assert!(status.success(), "{compiler} {arguments}: {}", String::from_utf8_lossy(&stderr));
        stdout
    };
    succeed(Command::new(compiler).args(arguments.split(' ')));
    let printed = String::from_utf8(succeed(&mut Command::new(folder.join("program")))).unwrap();
    Some(printed.lines().map(|line| line.parse().unwrap()).collect())
}

#[test]
fn the_model_as_c_and_as_rust_is_the_models_file() {
    let place = Workplace::new();
    let rows: String = (0..200).map(|i| format!("{},{}\n", (i * 7919) % 1000, (i * 104_729) % 977)).collect();
    place.write("train.csv", format!("a,b\n{rows}"));
    place.succeed("fit train.csv --out run --epochs 2 --hidden 4 --latent 1");
    let said = place.succeed("export run --out model.vae --c-array My-Model.h --rust my_model.rs");
    assert!(said.contains("build: My-Model.h") && said.contains("build: my_model.rs"), "{said}");
    let folder = place.path("");
    fs::rename(place.path("My-Model.h"), place.path("my_model.h")).unwrap();
    let header = fs::read_to_string(place.path("my_model.h")).unwrap();
    assert!(header.contains("vae_model_open(&model, my_model, MY_MODEL_LEN)"), "{}", &header[..300]);
    let expected: Vec<usize> =
        [0].into_iter().chain(fs::read(place.path("model.vae")).unwrap().into_iter().map(usize::from)).collect();

    place.write("program.c", PROGRAM);
    place.write("program.cpp", PROGRAM);
    for (compiler, standard) in [("gcc", "c99"), ("gcc", "c11"), ("g++", "c++11")] {
        let source = if compiler == "g++" { "program.cpp" } else { "program.c" };
        let arguments = format!("-std={standard} -Wall -Wextra -Werror -pedantic {source} -o program");
        if let Some(numbers) = numbers(&folder, compiler, &arguments) {
            assert!(numbers == expected, "{compiler} -std={standard}");
        }
    }

    // What the core's own `Aligned` is, without building the core once more.
    place.write("vae_core.rs", "#[repr(C, align(4))]\npub struct Aligned<T: ?Sized>(pub T);\n");
    place.write(
        "program.rs",
        "mod my_model;\nfn main() {\nlet model = &my_model::MY_MODEL;\nprintln!(\"{}\", model.0.as_ptr() as usize % 4);\n\
         for byte in model.0 { println!(\"{byte}\"); }\n}\n",
    );
    let library = Command::new("rustc").args(["--crate-type", "rlib", "vae_core.rs"]).current_dir(&folder).status();
    assert!(library.unwrap().success());
    let of_rust = numbers(&folder, "rustc", "--edition 2024 --extern vae_core=libvae_core.rlib program.rs");
    assert!(of_rust.unwrap() == expected, "rustc");
}
