//! What a release installs beside the program: manual pages and completions, from the words of `--help`.

use std::{collections::BTreeSet, fs, process::Command};

use vae_tests::skip;

use crate::workplace::Workplace;

#[test]
fn every_verb_has_a_manual_page_and_is_completed() {
    let place = Workplace::new();
    let written = place.json("manual out");
    assert_eq!(written["files"].as_array().unwrap().len(), fs::read_dir(place.path("out/man")).unwrap().count() + 5);
    let help = place.succeed("--help");
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let lines = verbs.lines().take_while(|line| !line.is_empty());
    let verbs: BTreeSet<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.contains("fit") && !verbs.contains("manual") && verbs.len() > 15, "{verbs:?}");

    let pages = fs::read_dir(place.path("out/man")).unwrap().count();
    assert_eq!(pages, verbs.len(), "one for each verb but `help`, and one for the program");
    let completions = ["vae-train.bash", "_vae-train", "vae-train.fish"];
    let completions =
        completions.map(|name| fs::read_to_string(place.path(&format!("out/completions/{name}"))).unwrap());
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        let page = fs::read_to_string(place.path(&format!("out/man/vae-train-{verb}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{verb}: {page}");
        for completion in &completions {
            assert!(completion.contains(verb), "{verb}");
        }
    }
    if Command::new("bash").arg("--version").output().is_err() {
        return skip("needs bash");
    }
    // Bash's own answer to a Tab behind the beginning of a word.
    let script = "source out/completions/vae-train.bash\nCOMP_WORDS=(vae-train calib) COMP_CWORD=1\n\
                  read -r answer < <(complete -p vae-train | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\n\
                  $answer vae-train calib vae-train\necho \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash");
    let answered = bash.args(["-c", script]).current_dir(place.path("")).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&answered.stdout).trim(),
        "calibrate",
        "{}",
        String::from_utf8_lossy(&answered.stderr)
    );
}
