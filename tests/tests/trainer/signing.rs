//! Signed models: the verbs that sign them, OpenSSL's opinion, what is refused, and what a verification costs on a device.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use vae_core::{SIGNATURE_TRAILER_LEN, SignatureError, SignedModel};
use vae_tests::{bench::CORES, root, skip};
use vae_train::file::signing::{generate, sign};

use crate::workplace::{fail, succeed};

fn motor() -> PathBuf {
    root().join("firmware-example/model/motor.vae")
}

#[test]
fn a_model_is_signed_verified_and_still_read_as_a_model() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    fs::copy(motor(), folder.join("model.vae")).unwrap();
    succeed(folder, "keygen --out key.pem");
    succeed(folder, "keygen --out other.pem");
    let (private, public) = (fs::read(folder.join("key.pem")).unwrap(), fs::read(folder.join("key.pub")).unwrap());
    assert_ne!(public, fs::read(folder.join("other.pub")).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(folder.join("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(fail(folder, "keygen --out key.pem").contains("never overwritten"));
    fs::rename(folder.join("key.pub"), folder.join("kept.pub")).unwrap();
    assert!(fail(folder, "keygen --out key.pem").contains("never overwritten"));
    assert_eq!(fs::read(folder.join("key.pem")).unwrap(), private);
    assert!(fail(folder, "keygen --out third.pem --seed 1").contains("predictable"));
    assert!(!folder.join("third.pem").exists());
    assert!(fail(folder, "sign model.vae --key kept.pub --counter 7 --out signed.vae").contains("private"));
    assert!(!folder.join("signed.vae").exists());

    succeed(folder, "sign model.vae --key key.pem --counter 7 --out signed.vae");
    let text = succeed(folder, "verify signed.vae --key other.pub --key kept.pub --least 7");
    assert!(text.contains("counter 7"), "{text}");
    assert!(fail(folder, "verify signed.vae --key other.pub").contains("not trusted here"));
    assert!(fail(folder, "verify signed.vae --key kept.pub --least 8").contains("older"));
    assert!(fail(folder, "verify model.vae --key kept.pub").contains("not signed"));
    assert!(fail(folder, "sign model.vae --key key.pem --counter 8 --out signed.vae").contains("--force"));
    // Signed anew, not twice.
    succeed(folder, "sign signed.vae --key key.pem --counter 8 --out again.vae");
    let [model, again] = ["model.vae", "again.vae"].map(|name| fs::read(folder.join(name)).unwrap());
    assert_eq!(again.len(), model.len() + SIGNATURE_TRAILER_LEN);
    assert_eq!(again[..model.len()], model);
    let [of_model, of_signed] = ["model.vae", "signed.vae"].map(|name| succeed(folder, &format!("info {name}")));
    assert_eq!(of_model.split_once(',').unwrap().1, of_signed.split_once(',').unwrap().1);
}

#[test]
fn openssl_reads_the_keys_and_agrees_with_the_signature() {
    let openssl = |folder: &Path, arguments: &str| {
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output()
    };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    if !openssl(folder, "version").is_ok_and(|output| output.stdout.starts_with(b"OpenSSL 3")) {
        skip("needs OpenSSL 3: apt-get install openssl");
        return;
    }
    let openssl = |arguments: &str| {
        let output = openssl(folder, arguments).unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    fs::copy(motor(), folder.join("model.vae")).unwrap();
    succeed(folder, "keygen --out key.pem");
    let public = openssl("pkey -in key.pem -pubout -outform DER");
    assert!(public.ends_with(&fs::read(folder.join("key.pub")).unwrap()));
    succeed(folder, "sign model.vae --key key.pem --counter 7 --out signed.vae");
    let signed = fs::read(folder.join("signed.vae")).unwrap();
    let (message, signature) = signed.split_at(signed.len() - 64);
    fs::write(folder.join("message"), message).unwrap();
    fs::write(folder.join("signature"), signature).unwrap();
    openssl("pkeyutl -verify -inkey key.pem -rawin -in message -sigfile signature");

    // And the other way round: its key, for us.
    openssl("genpkey -algorithm ed25519 -out theirs.pem");
    let public = openssl("pkey -in theirs.pem -pubout -outform DER");
    fs::write(folder.join("theirs.pub"), &public[public.len() - 32..]).unwrap();
    succeed(folder, "sign model.vae --key theirs.pem --counter 1 --out theirs.vae");
    succeed(folder, "verify theirs.vae --key theirs.pub");
}

#[test]
fn whatever_is_changed_is_noticed() {
    let model = fs::read(motor()).unwrap();
    let key = generate().unwrap();
    let keys = [*key.pk];
    let signed = sign(&model, 5, &key).unwrap();
    let verify = |file: &[u8]| SignedModel::from_bytes(file).and_then(|file| file.verify(&keys, 5).map(<[u8]>::to_vec));
    assert_eq!(verify(&signed), Ok(model.clone()));
    let trailer = signed.len() - SIGNATURE_TRAILER_LEN;
    // All of the trailer, and some of the model.
    let places = (0..trailer).step_by(997).chain(trailer..signed.len());
    for at in places {
        for bit in [0, 7] {
            let mut changed = signed.clone();
            changed[at] ^= 1 << bit;
            let expected = match at - at.min(trailer) {
                0..4 if at >= trailer => matches!(verify(&changed), Err(SignatureError::Unsigned)),
                8..12 => matches!(verify(&changed), Err(SignatureError::UnknownKey { .. })),
                // The counter as well: before it is compared, the signature is.
                _ => verify(&changed) == Err(SignatureError::Wrong),
            };
            assert!(expected, "byte {at}: {:?}", verify(&changed));
        }
    }
    for len in [0, 1, 79, 80, trailer, signed.len() - 1] {
        assert!(verify(&signed[..len]).is_err(), "{len}");
    }
    let older = sign(&model, 4, &key).unwrap();
    assert_eq!(verify(&older), Err(SignatureError::RolledBack { least: 5, found: 4 }));
    // The counter of one and the signature of the other.
    let mixed = [&older[..older.len() - 64], &signed[signed.len() - 64..]].concat();
    assert_eq!(verify(&mixed), Err(SignatureError::Wrong));
    assert_eq!(
        SignedModel::from_bytes(&signed).unwrap().verify(&[], 0).unwrap_err(),
        SignatureError::UnknownKey { key: u32::from_be_bytes(*key.pk.first_chunk().unwrap()) }
    );
}

#[test]
fn a_verification_costs_a_device_what_the_documentation_says() {
    let place = tempfile::tempdir().unwrap();
    let key = generate().unwrap();
    let signed = sign(&fs::read(motor()).unwrap(), 1, &key).unwrap();
    fs::write(place.path().join("signed.vae"), signed).unwrap();
    fs::write(place.path().join("key.pub"), *key.pk).unwrap();
    for (name, most) in [("Cortex-M4F", 9_000_000), ("Cortex-M0", 24_000_000)] {
        let core = CORES.iter().find(|core| core.name == name).unwrap();
        if !core.can_emulate() {
            continue;
        }
        let printed = core.emulate("signature", place.path()).unwrap();
        let ticks = u64::from_str_radix(printed.trim(), 16).unwrap();
        let instructions = core.instructions(ticks);
        assert!((most / 2..most).contains(&instructions), "{name}: {instructions}");
        println!("{name}: {instructions} instructions");
    }
}
