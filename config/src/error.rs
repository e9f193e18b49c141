//! What is wrong with settings: all of it at once.

use std::fmt;

use serde::Serialize;

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConfigError {
    /// The file, when it is not the settings themselves.
    pub file: Option<String>,
    /// The path of the key, such as `account[1].limits.max_long`; empty for the file as a whole.
    pub key: String,
    /// The line of the file, from 1, where one can be named.
    pub line: Option<usize>,
    /// The value as it was given (shortened; secrets masked), where there is one.
    pub value: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub advice: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if !self.key.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.problem)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// Every mistake of one or more files, in the order of their lines. Never empty.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `None` when there is none.
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Option<Self> {
        errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        errors.dedup();
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// A mistake of a whole file.
    pub(crate) fn of_file(problem: String, advice: String) -> Self {
        Self(vec![ConfigError { file: None, key: String::new(), line: None, value: None, problem, advice }])
    }

    /// The same, said of `file`.
    pub(crate) fn in_file(mut self, file: &std::path::Path) -> Self {
        for error in &mut self.0 {
            error.file = Some(file.display().to_string());
        }
        self
    }

    pub(crate) fn into_vec(self) -> Vec<ConfigError> {
        self.0
    }

    /// The mistakes.
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }

    /// The mistakes, one after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
