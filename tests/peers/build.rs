//! The schema of sqlxmq, which asks its users to copy its migrations: taken from the crate as it was fetched.

use std::{env, fs, path::PathBuf, process::Command};

fn main() {
    let asked = Command::new(env::var_os("CARGO").unwrap()).args(["metadata", "--format-version", "1", "--locked", "--offline"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let sqlxmq = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "sqlxmq").unwrap();
    let migrations = PathBuf::from(sqlxmq["manifest_path"].as_str().unwrap()).with_file_name("migrations");
    let mut files: Vec<PathBuf> = fs::read_dir(migrations).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.to_str().unwrap().ends_with(".up.sql"));
    files.sort();
    let schema: String = files.iter().map(|f| fs::read_to_string(f).unwrap() + "\n").collect();
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("sqlxmq.sql"), schema).unwrap();
    println!("cargo::rerun-if-changed=Cargo.lock");
}
