//! The placeholders of an expression.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// The placeholders of the expressions of one call. Condition and update of a call share them,
/// because DynamoDB has one list of names and one of values for both.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts {
    /// Placeholder to attribute. The placeholder is `#` and the attribute itself, so using one
    /// twice is the same entry.
    pub(crate) names: HashMap<String, String>,
    /// Placeholder to value: `:0`, `:1` and so on. Each use is an entry of its own.
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Parts {
    /// The placeholder of an attribute.
    pub(crate) fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// The placeholder of a value.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// The values, or `None` if there are none: DynamoDB does not accept an empty map.
    pub(crate) fn some_values(self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then_some(self.values)
    }
}
