use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn paths_are_answered_and_nothing_else() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, |path| match path {
        "/healthz" => Answer::Fine,
        "/readyz" => Answer::NotYet("not yet\n"),
        "/metrics" => Answer::Metrics("m 1\n".to_owned()),
        _ => Answer::NoSuchPath,
    }));
    for (request, expected) in [
        ("GET /healthz HTTP/1.1", "HTTP/1.1 200 OK"),
        ("GET /readyz HTTP/1.1", "HTTP/1.1 503"),
        ("GET /metrics HTTP/1.1", "openmetrics-text"),
        ("GET /secret HTTP/1.1", "HTTP/1.1 404"),
        ("POST /healthz HTTP/1.1", "HTTP/1.1 405"),
        ("nonsense", "HTTP/1.1 400"),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let text = format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n");
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(expected), "{request}: {answer}");
    }
    server.abort();
}
