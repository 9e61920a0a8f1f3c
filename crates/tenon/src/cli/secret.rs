//! `tenon secret`.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Subcommand;
use tenon_model::{ObjectName, Secret as SecretText};
use tenon_protocol::control::{
    DeleteSecret, ListSecrets, NoParams, Nothing, PutSecret, SecretPath, SecretSummary, SecretValue,
};

use super::Global;
use super::control::Cluster;
use crate::failure::fail;

/// Sets, lists and deletes the secrets that objects name as `secret:NAME`.
#[derive(Debug, Subcommand)]
pub(super) enum Secret {
    /// Create or replace a secret; its value is read from standard input
    Set {
        /// The secret's name
        name: ObjectName,
        /// Read the value from this file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List the names of secrets
    List,
    /// Delete a secret
    Delete {
        /// The secret's name
        name: ObjectName,
    },
}

impl Secret {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let output = global.output();
        let path = |name: &ObjectName| SecretPath { name: name.clone() };
        let row = |secret: &SecretSummary| vec![secret.name.to_string(), secret.updated_at.to_string()];
        match self {
            Secret::Set { name, file } => {
                let value = read_value(global, file.as_ref())?;
                let value = SecretValue {
                    value: SecretText::new(value),
                };
                let summary = Cluster::of(global)?.call::<PutSecret>(&path(name), &value)?;
                output.show(&summary, &["name", "updated"], |summary| vec![row(summary)])
            }
            Secret::List => {
                let page = Cluster::of(global)?.call::<ListSecrets>(&NoParams {}, &Nothing {})?;
                output.show(&page, &["name", "updated"], |page| page.items.iter().map(row).collect())
            }
            Secret::Delete { name } => {
                let done = Cluster::of(global)?.call::<DeleteSecret>(&path(name), &Nothing {})?;
                if output.is_json() {
                    output.json(&done)
                } else {
                    output.text(&format!("Deleted {name}"))
                }
            }
        }
    }
}

/// The value, without the newline that ends it: never an argument, which others could see.
fn read_value(global: &Global, file: Option<&PathBuf>) -> anyhow::Result<String> {
    let text = if let Some(file) = file {
        let Ok(text) = std::fs::read_to_string(file) else {
            fail!(
                NoSuchPath,
                format!("the secret's file {} can't be read", file.display()),
                ""
            );
        };
        text
    } else {
        if std::io::stdin().is_terminal() {
            global.output().note("Type the value, then press Enter and Ctrl-D:");
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    };
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        fail!(
            InvalidInput,
            "the value is empty",
            "pipe it in, or give a file with --file"
        );
    }
    Ok(value.to_owned())
}
