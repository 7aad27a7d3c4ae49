use std::fmt;

/// Where credentials come from, as `AwsCredentialsProvider` names it: one of the providers of the
/// AWS SDK for Java.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsProvider {
    /// The chain of the AWS SDK: the environment, the profile, a web identity, the container, the
    /// machine.
    Default,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of `~/.aws`: the one of this name, or the one that `AWS_PROFILE` names.
    Profile(Option<String>),
    /// The role of the container.
    Container,
    /// The role of the machine.
    InstanceProfile,
    /// The role of a web identity token, as Kubernetes gives it.
    WebIdentity,
    /// None: requests are not signed, which a server for tests may accept.
    Anonymous,
    /// A role that is assumed.
    AssumeRole {
        /// The ARN of the role.
        role: String,
        /// The name of the session.
        session: String,
        /// The external id, if the role demands one.
        external_id: Option<String>,
        /// The region whose STS is called. Default: the daemon's.
        region: Option<String>,
        /// The endpoint of STS. Default: that of the region.
        endpoint: Option<String>,
    },
}

impl CredentialsProvider {
    /// Reads the value of an `AwsCredentialsProvider`: names separated by commas, each with
    /// arguments separated by `|`. Returns the providers, in the order in which they are tried, and
    /// what is wrong with the names that stand for none.
    pub(super) fn read(value: &str) -> (Vec<Self>, Vec<String>) {
        let (mut providers, mut wrong) = (Vec::new(), Vec::new());
        for part in value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            // What is wrong with one is no reason to refuse the others: the Java daemon leaves a
            // class out that it does not find.
            match Self::read_one(part) {
                Ok(provider) => providers.push(provider),
                Err(error) => wrong.push(error),
            }
        }
        (providers, wrong)
    }

    /// One provider with its arguments, or what is wrong with it. The Java daemon finds the class
    /// by reflection, so any class of the SDK for Java may be named; those that make sense without
    /// a JVM are here.
    fn read_one(text: &str) -> Result<Self, String> {
        let mut parts = text.split('|').map(str::trim);
        let class = parts.next().unwrap_or_default();
        // An argument that is empty is none, so `ProfileCredentialsProvider|` is the profile of the
        // environment.
        let arguments: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        // The package may be named or not.
        let name = class.rsplit('.').next().unwrap_or(class);
        Ok(match name {
            // The second is the name that the SDK before had: the Java daemon finds no class for it,
            // and begins without credentials.
            "DefaultCredentialsProvider" | "DefaultAWSCredentialsProviderChain" => Self::Default,
            "EnvironmentVariableCredentialsProvider" => Self::Environment,
            "ProfileCredentialsProvider" => {
                Self::Profile(arguments.first().map(|name| (*name).to_owned()))
            }
            "ContainerCredentialsProvider" => Self::Container,
            "InstanceProfileCredentialsProvider" => Self::InstanceProfile,
            "WebIdentityTokenFileCredentialsProvider" => Self::WebIdentity,
            "AnonymousCredentialsProvider" => Self::Anonymous,
            "StsAssumeRoleCredentialsProvider" | "KclStsAssumeRoleCredentialsProvider" => {
                assume_role(&arguments)?
            }
            "SystemPropertyCredentialsProvider" => {
                return Err(format!(
                    "`{name}` reads the system properties of a JVM, and there is none: use \
                     EnvironmentVariableCredentialsProvider"
                ));
            }
            _ => {
                return Err(format!(
                    "`{class}` is not known: expected DefaultCredentialsProvider or another \
                     provider of the AWS SDK for Java, such as ProfileCredentialsProvider|NAME"
                ));
            }
        })
    }
}

/// The ARN of a role and the name of a session, in this order, and further arguments by name in any
/// place.
fn assume_role(arguments: &[&str]) -> Result<CredentialsProvider, String> {
    let (named, plain): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .partition(|argument| argument.contains('='));
    let [role, session] = plain[..] else {
        return Err(format!(
            "`StsAssumeRoleCredentialsProvider` has {} arguments: expected the ARN of a role and the \
             name of a session, as in StsAssumeRoleCredentialsProvider|ARN|SESSION",
            plain.len()
        ));
    };
    let argument = |wanted: &str| {
        named
            .iter()
            .filter_map(|argument| argument.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    // `endpoint` is `HOST^REGION`. A region of its own, `endpointRegion`, wins over that.
    let endpoint = argument("endpoint");
    let (host, host_region) = match endpoint.as_deref().map(|text| text.split_once('^')) {
        Some(Some((host, region))) => (Some(host.to_owned()), Some(region.to_owned())),
        Some(None) => (endpoint, None),
        None => (None, None),
    };
    let endpoint = host.map(|host| {
        if host.contains("://") {
            host
        } else {
            format!("https://{host}")
        }
    });
    Ok(CredentialsProvider::AssumeRole {
        role: role.to_owned(),
        session: session.to_owned(),
        external_id: argument("externalId"),
        region: argument("endpointRegion").or(host_region),
        endpoint,
    })
}

impl fmt::Display for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default chain of the AWS SDK"),
            Self::Environment => f.write_str("the environment"),
            Self::Profile(Some(name)) => write!(f, "the profile `{name}`"),
            Self::Profile(None) => f.write_str("the profile"),
            Self::Container => f.write_str("the role of the container"),
            Self::InstanceProfile => f.write_str("the role of the machine"),
            Self::WebIdentity => f.write_str("the role of a web identity"),
            Self::Anonymous => f.write_str("none"),
            Self::AssumeRole { role, .. } => write!(f, "the role {role}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_java_sdk_are_known() {
        let (providers, wrong) = CredentialsProvider::read(
            "DefaultCredentialsProvider, \
             software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider|billing,\
             EnvironmentVariableCredentialsProvider,DefaultAWSCredentialsProviderChain,",
        );
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(
            providers,
            [
                CredentialsProvider::Default,
                CredentialsProvider::Profile(Some("billing".to_owned())),
                CredentialsProvider::Environment,
                CredentialsProvider::Default,
            ]
        );
    }

    #[test]
    fn a_role_has_a_session_and_may_have_more() {
        let (providers, wrong) = CredentialsProvider::read(
            "StsAssumeRoleCredentialsProvider|arn:aws:iam::1:role/r|s|endpoint=sts.eu-west-1.amazonaws.com^eu-west-1|externalId=e",
        );
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(
            providers,
            [CredentialsProvider::AssumeRole {
                role: "arn:aws:iam::1:role/r".to_owned(),
                session: "s".to_owned(),
                external_id: Some("e".to_owned()),
                region: Some("eu-west-1".to_owned()),
                endpoint: Some("https://sts.eu-west-1.amazonaws.com".to_owned()),
            }]
        );
        let (providers, wrong) =
            CredentialsProvider::read("StsAssumeRoleCredentialsProvider|arn,com.example.Mine");
        assert_eq!((providers.len(), wrong.len()), (0, 2));
        assert!(wrong[0].contains("has 1 arguments") && wrong[1].contains("`com.example.Mine`"));
    }
}
