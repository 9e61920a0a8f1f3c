//! The kind `security-group`: several definitions under one name, any of which lets a request in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup};

/// Several security definitions under one name. Any of them lets a request in, however many they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupConfig {
    /// The definitions of the group. A group can't be a member of another one.
    #[schemars(extend("x-tenon-reference" = ["api-key", "basic-auth", "jwt", "mutual-tls"]))]
    pub members: Vec<String>,
    /// The `rate-limit` object that says how many requests may come from all members together, beside the limits that members
    /// have themselves.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
}

impl KindConfig for SecurityGroupConfig {
    const NAME: &'static str = "security-group";
    const TITLE: &'static str = "Security group";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut names: Vec<&String> = self.members.iter().collect();
        names.sort();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        twice
            .map(|pair| FieldProblem::new("members", format!("'{}' is there twice", pair[0])))
            .into_iter()
            .collect()
    }
}
