//! Finds the script of an operation, decides its language, and copies it to where it runs.

use super::{
    operation::{CTX_SH, Operation, directory_failure},
    python,
};
use crate::{
    plugins::script::declare::{
        action::{CERTIFICATE, PATH, SOURCE},
        language::{Language, dedent},
    },
    seam::Failure,
};
use serde_json::Value as Json;

/// A script that is ready to run.
pub(super) struct Script {
    pub path: String,
    pub language: Language,
    pub text: String,
}

/// A script as its operation names it.
struct Source {
    name: String,
    content: Vec<u8>,
    language: Language,
}

impl Operation<'_> {
    /// Finds the script and copies it to where it runs.
    pub(super) async fn script(&self) -> Result<Script, Failure> {
        let Source {
            name,
            content,
            language,
        } = self.source().await?;
        let text = String::from_utf8_lossy(&content).into_owned();
        let path = if let Some(container) = &self.container {
            container.prepare((&name, &content), CTX_SH).await?
        } else {
            let name = format!("script/{name}");
            let path = self.run_directory.write(&name, &content, 0o755);
            path.map_err(directory_failure)?.display().to_string()
        };
        Ok(Script {
            path,
            language,
            text,
        })
    }

    async fn source(&self) -> Result<Source, Failure> {
        let text = |name: &str| match self.inputs.get(name) {
            Some(Json::String(text)) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        };
        match (text(PATH), text(SOURCE)) {
            (Some(path), None) => {
                let (name, content) = self.resources.script(path, text(CERTIFICATE)).await?;
                Ok(Source {
                    name,
                    content,
                    language: Language::of_file(path, self.process.is_python),
                })
            }
            (None, Some(source)) => Ok(self.inline(&dedent(source)).await),
            (Some(_), Some(_)) => Err(Failure::fatal(
                "Only provide script_path or script_source, not both",
            )),
            (None, None) => Err(Failure::fatal(
                "Either script_path or script_source must be provided",
            )),
        }
    }

    async fn inline(&self, text: &str) -> Source {
        let language = Language::of_text(text, self.process.is_python);
        let language = self.decide(language, text).await;
        let name = match language {
            Language::Python => "script.py",
            _ => "script.sh",
        };
        Source {
            name: name.to_owned(),
            content: text.as_bytes().to_vec(),
            language,
        }
    }

    /// Decides the language of inline text: Python parses it, or it is for the shell.
    async fn decide(&self, language: Language, text: &str) -> Language {
        if language != Language::Undecided {
            return language;
        }
        match python::parses(text, &self.driver.environment).await {
            Some(true) => Language::Python,
            _ => Language::Shell,
        }
    }
}
