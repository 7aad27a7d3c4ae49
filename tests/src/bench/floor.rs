use std::error::Error;
use std::sync::Arc;

use aws_sdk_kinesis::types::ShardIteratorType;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::client::client;
use super::measure::Figures;
use super::{BenchLoad, STREAM};

type BoxError = Box<dyn Error + Send + Sync>;

/// What no reader can be cheaper than: the same pages, received into one warm buffer for each shard
/// and touched, neither signed for nor decoded. Of a page it looks for the next iterator alone.
///
/// # Errors
/// When a call fails.
pub async fn floor(endpoint: &str, load: &BenchLoad) -> Result<Figures, BoxError> {
    let client = client(endpoint);
    let shards = client.list_shards().stream_name(STREAM).send().await?;
    let mut readers = JoinSet::new();
    for shard in shards.shards() {
        let opened = client
            .get_shard_iterator()
            .stream_name(STREAM)
            .shard_id(shard.shard_id())
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let iterator = opened.shard_iterator.ok_or("no iterator")?;
        readers.spawn(poll(endpoint.to_owned(), iterator, load.clone()));
    }
    let mut sum = 0_u64;
    while let Some(read) = readers.join_next().await {
        sum = sum.wrapping_add(read??);
    }
    Ok(Figures::of_this_process(load.records, sum)?)
}

/// A page that is shorter has no records: the shard is read.
const NO_RECORDS: usize = 1024;

async fn poll(endpoint: String, mut iterator: String, load: BenchLoad) -> Result<u64, BoxError> {
    let (scheme, host) = endpoint.split_once("://").ok_or("no endpoint")?;
    let host = host.trim_end_matches('/');
    let socket = TcpStream::connect(host).await?;
    socket.set_nodelay(true)?;
    let mut io: Box<dyn Io> = if scheme == "https" {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let name = ServerName::try_from(name.to_owned())?;
        Box::new(TlsConnector::from(tls()?).connect(name, socket).await?)
    } else {
        Box::new(socket)
    };
    let (mut buffer, mut sum) = (Vec::new(), 0_u64);
    loop {
        io.write_all(&request(host, &iterator, &load)).await?;
        io.flush().await?;
        let body = receive(&mut io, &mut buffer).await?;
        sum = sum.wrapping_add(load.touched(body));
        if body.len() < NO_RECORDS {
            return Ok(sum);
        }
        iterator = next_iterator(body).ok_or("no next iterator in a page")?;
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Trusts what the clients are told to trust.
fn tls() -> Result<Arc<ClientConfig>, BoxError> {
    let mut roots = RootCertStore::empty();
    let trusted = std::env::var_os("SSL_CERT_FILE").ok_or("SSL_CERT_FILE is not set")?;
    roots.add(CertificateDer::from_pem_file(trusted)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The embedded stream wants a signature and does not check it.
const UNCHECKED: &str = "AWS4-HMAC-SHA256 Credential=AKID/20261130/us-east-1/kinesis/aws4_request, \
     SignedHeaders=host;x-amz-date, Signature=0";

fn request(host: &str, iterator: &str, load: &BenchLoad) -> Vec<u8> {
    let limit = load.limit;
    let (content_type, body) = if load.json {
        let body = format!("{{\"ShardIterator\":\"{iterator}\",\"Limit\":{limit}}}");
        ("application/x-amz-json-1.1", body.into_bytes())
    } else {
        // A map of two: texts of less than 24 and of less than 65,536 bytes, a number of 32 bits.
        let mut body = b"\xA2\x6DShardIterator\x79".to_vec();
        body.extend_from_slice(&(iterator.len() as u16).to_be_bytes());
        body.extend_from_slice(iterator.as_bytes());
        body.extend_from_slice(b"\x65Limit\x1A");
        body.extend_from_slice(&limit.to_be_bytes());
        ("application/x-amz-cbor-1.1", body)
    };
    let length = body.len();
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: Kinesis_20131202.GetRecords\r\n\
         authorization: {UNCHECKED}\r\nx-amz-date: 20261130T000000Z\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}

/// The body of an answer, in the buffer.
async fn receive<'b>(io: &mut dyn Io, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], BoxError> {
    const END: &[u8] = b"\r\n\r\n";
    buffer.clear();
    buffer.reserve(4096);
    let head = loop {
        if io.read_buf(buffer).await? == 0 {
            return Err("the server has closed the connection".into());
        }
        if let Some(end) = buffer.windows(END.len()).position(|part| part == END) {
            break end + END.len();
        }
    };
    let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
    let length = text.split("content-length:").nth(1).unwrap_or_default();
    let length = length.split("\r\n").next().unwrap_or_default();
    let end = head + length.trim().parse::<usize>()?;
    buffer.reserve(end - buffer.len());
    while buffer.len() < end {
        if io.read_buf(buffer).await? == 0 {
            return Err("the server has closed the connection".into());
        }
    }
    if !text.starts_with("http/1.1 200") {
        return Err(format!("refused: {}", text.lines().next().unwrap_or_default()).into());
    }
    Ok(&buffer[head..end])
}

/// The iterator in a page, which stands behind its records.
fn next_iterator(body: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"NextShardIterator";
    let from = body.len().saturating_sub(4096);
    let tail = &body[from..];
    let at = tail.windows(NAME.len()).rposition(|part| part == NAME)? + NAME.len();
    let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    let value = match tail[at..] {
        // CBOR: the length of the text in one byte, or in two.
        [0x78, length, ..] => tail.get(at + 2..)?.get(..usize::from(length))?,
        [0x79, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            tail.get(at + 3..)?.get(..length)?
        }
        _ => {
            let value = tail.get(at + 3..)?;
            let end = value.iter().position(|byte| !is_text(byte))?;
            &value[..end]
        }
    };
    String::from_utf8(value.to_vec()).ok()
}
