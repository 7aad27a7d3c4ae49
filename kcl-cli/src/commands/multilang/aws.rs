//! The AWS SDK as a properties file describes it.
//!
//! The MultiLangDaemon lets a file name the classes of Java that provide credentials. Each of them
//! has a counterpart in the SDK for Rust; a list of them becomes a chain that is asked in order.
//!
//! | provider of the file | asks |
//! |---|---|
//! | `Default` and what this list does not know | the SDK's default chain |
//! | `Environment` | AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN |
//! | `Profile` | ~/.aws, with the profile that is named or AWS_PROFILE |
//! | `Container` | the endpoint of a task in ECS or a pod in EKS |
//! | `InstanceProfile` | the metadata service of the instance |
//! | `WebIdentity` | STS, with the token in AWS_WEB_IDENTITY_TOKEN_FILE |
//! | `AssumeRole` | STS, with a role that the file names |
//! | `Anonymous` | nobody: requests are not signed, as some emulators want it |

use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use kcl_core::aws_sdk_kinesis::config::ProvideCredentials;
use kcl_multilang::properties::{CredentialsProvider, DaemonConfig};

/// A configuration of the SDK with the region of the file, these credentials and this endpoint.
/// What the file leaves out comes from where every AWS tool looks.
pub(super) async fn config(
    config: &DaemonConfig,
    credentials: &[CredentialsProvider],
    endpoint: Option<&String>,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    Box::pin(with_credentials(
        loader,
        config.region.as_ref(),
        credentials,
    ))
    .await
    .load()
    .await
}

/// Adds the chain of providers. With none of them the SDK's own default remains.
///
/// Nothing is asked for credentials yet: which provider has some shows at the first call.
///
/// A role is assumed with the credentials that the SDK finds by itself, in the region of STS that
/// the file names or else in its own.
async fn with_credentials(
    loader: ConfigLoader,
    region: Option<&String>,
    credentials: &[CredentialsProvider],
) -> ConfigLoader {
    let mut chain: Option<CredentialsProviderChain> = None;
    for provider in credentials {
        let name = provider.to_string();
        chain = Some(match provider {
            // Requests are not signed; what follows is never asked.
            CredentialsProvider::Anonymous => {
                return match chain {
                    None => loader.no_credentials(),
                    Some(chain) => loader.credentials_provider(chain),
                };
            }
            CredentialsProvider::Environment => link(
                chain,
                name,
                aws_config::environment::EnvironmentVariableCredentialsProvider::new(),
            ),
            CredentialsProvider::Profile(profile) => {
                let mut builder = aws_config::profile::ProfileFileCredentialsProvider::builder();
                if let Some(profile) = profile {
                    builder = builder.profile_name(profile);
                }
                link(chain, name, builder.build())
            }
            CredentialsProvider::Container => link(
                chain,
                name,
                aws_config::ecs::EcsCredentialsProvider::builder().build(),
            ),
            CredentialsProvider::InstanceProfile => link(
                chain,
                name,
                aws_config::imds::credentials::ImdsCredentialsProvider::builder().build(),
            ),
            CredentialsProvider::WebIdentity => link(
                chain,
                name,
                aws_config::web_identity_token::WebIdentityTokenCredentialsProvider::builder()
                    .build(),
            ),
            CredentialsProvider::AssumeRole {
                role,
                session,
                external_id,
                region: of_sts,
                endpoint,
            } => {
                let mut builder =
                    aws_config::sts::AssumeRoleProvider::builder(role).session_name(session);
                if let Some(id) = external_id {
                    builder = builder.external_id(id);
                }
                let region = of_sts.as_ref().or(region);
                if let Some(region) = region {
                    builder = builder.region(Region::new(region.clone()));
                }
                let mut sts = aws_config::defaults(BehaviorVersion::latest());
                if let Some(region) = region {
                    sts = sts.region(Region::new(region.clone()));
                }
                if let Some(endpoint) = endpoint {
                    sts = sts.endpoint_url(endpoint);
                }
                // A configuration of its own: the endpoint of Kinesis must not be that of STS.
                let sts = sts.load().await;
                link(chain, name, builder.configure(&sts).build().await)
            }
            // Also for a provider that is newer than this list.
            _ => {
                let mut builder =
                    aws_config::default_provider::credentials::DefaultCredentialsChain::builder();
                if let Some(region) = region {
                    builder = builder.region(Region::new(region.clone()));
                }
                link(chain, name, builder.build().await)
            }
        });
    }
    match chain {
        Some(chain) => loader.credentials_provider(chain),
        None => loader,
    }
}

/// One more provider at the end of the chain. Its name appears in the error that says which were
/// asked.
fn link(
    chain: Option<CredentialsProviderChain>,
    name: String,
    provider: impl ProvideCredentials + 'static,
) -> CredentialsProviderChain {
    match chain {
        None => CredentialsProviderChain::first_try(name, provider),
        Some(chain) => chain.or_else(name, provider),
    }
}
