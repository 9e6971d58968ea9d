#pragma once
// A TLS server in the hands of a test: what it writes goes out record by record, all in one segment.

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <functional>
#include <list>

#include "certificates.hpp"
#include "script_server.hpp"

namespace keybearer::test {

class HostileTls {
 public:
  // Called with each request: writes with SSL_write, or does worse. False: the connection is cut.
  using Act = std::function<bool(SSL*)>;

  HostileTls(Loop& loop, const Certificates& certificates, const std::string& name)
      : loop_(loop),
        context_(SSL_CTX_new(TLS_server_method())),
        acceptor_(loop.context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        tasks_(loop.context.get_executor()) {
    REQUIRE(SSL_CTX_use_certificate_chain_file(context_,
                                               certificates.path(name + ".pem").c_str()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_, certificates.path(name + ".key").c_str(),
                                        SSL_FILETYPE_PEM) == 1);
    tasks_.spawn(accept_all());
  }
  ~HostileTls() {
    loop_.run([](TaskGroup& tasks) -> asio::awaitable<bool> {
      tasks.cancel();
      co_await tasks.join();
      co_return true;
    }(tasks_));
    SSL_CTX_free(context_);
  }

  Act act = answer("a");
  int connections = 0;
  int requests = 0;  // that could be read

  [[nodiscard]] std::string port() const {
    return std::to_string(acceptor_.local_endpoint().port());
  }
  [[nodiscard]] SSL_CTX* context() const { return context_; }

  static void write(SSL* ssl, const std::string& text) {
    CHECK(SSL_write(ssl, text.data(), static_cast<int>(text.size())) ==
          static_cast<int>(text.size()));
  }
  static std::string response(const std::string& body) {
    return "HTTP/1.1 200 X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static Act answer(const std::string& body) {
    return [body](SSL* ssl) {
      write(ssl, response(body));
      return true;
    };
  }

 private:
  asio::awaitable<void> accept_all() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      ++connections;
      tasks_.spawn(serve(std::move(socket)));
    }
  }

  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  asio::awaitable<bool> flush(SSL* ssl, asio::ip::tcp::socket& socket) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
    const std::string out(bytes, static_cast<std::size_t>(size));
    (void)BIO_reset(SSL_get_wbio(ssl));
    boost::system::error_code error;
    co_await asio::async_write(socket, asio::buffer(out),
                               asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

  asio::awaitable<void> serve(asio::ip::tcp::socket socket) {
    const std::unique_ptr<SSL, FreeSsl> ssl(SSL_new(context_));
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl.get());
    std::string request;
    for (;;) {
      char bytes[4096];
      const int n = SSL_read(ssl.get(), bytes, sizeof bytes);
      const int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl.get(), n);
      if (n > 0) request.append(bytes, static_cast<std::size_t>(n));
      bool go_on = why == SSL_ERROR_NONE || why == SSL_ERROR_WANT_READ;
      ERR_clear_error();
      if (request.ends_with("\r\n\r\n") || request.ends_with("{}")) {
        ++requests;
        request.clear();
        go_on = act(ssl.get());
      }
      if (!co_await flush(ssl.get(), socket) || !go_on) co_return;
      if (why != SSL_ERROR_WANT_READ) continue;
      boost::system::error_code error;
      const std::size_t got = co_await socket.async_read_some(
          asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      BIO_write(SSL_get_rbio(ssl.get()), bytes, static_cast<int>(got));
    }
  }

  Loop& loop_;
  SSL_CTX* context_;
  asio::ip::tcp::acceptor acceptor_;
  TaskGroup tasks_;
};

}  // namespace keybearer::test
