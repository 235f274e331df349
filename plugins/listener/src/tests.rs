use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::*;

const SOON: Duration = Duration::from_secs(5);
const LIMITS: Limits = Limits { connections: 16, per_address: 4, lifetime: Duration::from_secs(600) };

/// Answers each byte with itself.
async fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
}

async fn started(limits: Limits) -> (SocketAddr, JoinHandle<Infallible>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, limits, echo)))
}

/// A client of its own address, such as 127.0.0.7.
async fn client(server: SocketAddr, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(server).await.unwrap()
}

async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut byte = [7];
    let answered = async {
        stream.write_all(&byte).await?;
        stream.read_exact(&mut byte).await
    };
    timeout(SOON, answered).await.is_ok_and(|answered| answered.is_ok())
}

#[tokio::test]
async fn two_hundred_silent_clients_keep_nobody_out() {
    let (server, task) = started(LIMITS).await;
    let mut silent = Vec::new();
    for number in 0..200u8 {
        silent.push(client(server, 10 + number % 20).await);
    }
    for last in [2, 10] {
        assert!(is_answered(&mut client(server, last).await).await, "127.0.0.{last}");
    }
    task.abort();
}

#[tokio::test]
async fn one_address_takes_no_place_of_others() {
    let (server, task) = started(LIMITS).await;
    let mut other = client(server, 2).await;
    assert!(is_answered(&mut other).await);
    let mut greedy = Vec::new();
    for _ in 0..100 {
        greedy.push(client(server, 3).await);
    }
    assert!(is_answered(greedy.last_mut().unwrap()).await);
    assert!(is_answered(&mut other).await, "it was the oldest of all, and of its address the only one");
    assert!(!is_answered(&mut greedy[0]).await, "it is still there");
    task.abort();
}

#[tokio::test]
async fn a_connection_ends_with_its_lifetime_and_with_the_port() {
    let (server, task) = started(Limits { lifetime: Duration::from_millis(200), ..LIMITS }).await;
    let mut brief = client(server, 2).await;
    assert!(is_answered(&mut brief).await);
    assert_eq!(timeout(SOON, brief.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    task.abort();

    let (server, task) = started(LIMITS).await;
    let mut lasting = client(server, 2).await;
    assert!(is_answered(&mut lasting).await);
    task.abort();
    assert_eq!(timeout(SOON, lasting.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
}
