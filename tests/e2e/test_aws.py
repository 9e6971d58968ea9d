"""Method aws against the real server's own back end: the server forwards what was signed to an STS on loopback, which recomputes
each signature. Every source of credentials, their rotation, refusals and outages."""
import datetime
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aws_services import ACCOUNT, Aws
from bases import KV_DATA
from harness import EX_AUTH, EX_CONFIG, wait_for

CONFIG = '''
[vault]
address = "@addr@"
[auto_auth]
max_backoff = "2s"
[auto_auth.method]
type = "aws"
role = "app"
@method@
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''
OFF = {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def aws(s):
    services = Aws(s)
    value = s.canary("kv-first")
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": value})
    s.vault.policy("kv-reader", "kv/data/*", "kv/metadata/*")
    s.vault.post("sys/auth/aws", {"type": "aws"})
    configure(s, services)
    role(s)
    services.value = value
    yield services
    services.close()


def configure(s, services, **more):
    s.vault.post("auth/aws/config/client", {"sts_endpoint": services.sts.url, "sts_region": services.sts_region, "max_retries": 0, **more})


def role(s, **more):
    s.vault.post("auth/aws/role/app", {
        "auth_type": "iam", "bound_iam_principal_arn": [f"arn:aws:iam::{ACCOUNT}:role/app-role", f"arn:aws:iam::{ACCOUNT}:user/app"],
        "resolve_aws_unique_ids": False, "token_policies": "kv-reader", "token_ttl": "10m", **more})


def start(s, method="", env=None, *flags):
    return s.render(CONFIG.replace("@method@", method), *flags, env=env)


def in_(s, aws):
    wait_for(lambda: s.read("out/value") == aws.value, 10, "the value")


# --- the sources of credentials

def test_environment(s, aws):
    agent = start(s, env=aws.environment(aws.keys()))
    in_(s, aws)
    assert [entry.token for entry in s.tap.logins()] == [0], "one login, without a token"
    assert agent.alive


def test_keys_of_a_user_have_no_session_token(s, aws):
    start(s, env=aws.environment(aws.keys("app", temporary=False)))
    in_(s, aws)


def test_shared_file_and_profile(s, aws):
    other, keys = aws.keys("other"), aws.keys()
    s.write("boot/credentials", "".join(
        f"[{name}]\naws_access_key_id = {k['id']}\naws_secret_access_key = {k['secret']}\naws_session_token = {k['token']}\n"
        for name, k in (("default", other), ("vault", keys))))
    # A profile that is named comes before the environment.
    start(s, 'profile = "vault"', {"AWS_SHARED_CREDENTIALS_FILE": s.path("boot/credentials"), **aws.environment(other)})
    in_(s, aws)


def test_web_identity(s, aws):
    token = s.canary("web.identity")
    aws.web_tokens.add(token)
    s.write("boot/jwt", token, 0o644)
    start(s, env={"AWS_WEB_IDENTITY_TOKEN_FILE": s.path("boot/jwt"), "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/app-role",
                  "AWS_ENDPOINT_URL_STS": aws.sts.url})
    in_(s, aws)
    assert aws.count("sts", "AssumeRoleWithWebIdentity") == 1


@pytest.mark.parametrize("token", ["file", "variable", "none"])
def test_container(s, aws, token):
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.container.url + "/v1/credentials"}
    if token != "none":
        value = s.canary("pod-token")
        aws.pod_tokens.add(value)
        s.write("boot/pod-token", value, 0o644)
        env.update({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": s.path("boot/pod-token")} if token == "file" else
                   {"AWS_CONTAINER_AUTHORIZATION_TOKEN": value})
    start(s, env=env)
    in_(s, aws)


class SingleSignOn:
    """A profile of ~/.aws/config, and its session as `aws sso login` leaves it."""

    def __init__(self, s, aws):
        self.s, self.aws = s, aws
        self.env = {"AWS_PROFILE": "p", "AWS_ENDPOINT_URL_SSO": aws.portal.url, **OFF}
        s.write("home/.aws/config", f"[profile p]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = app-role\n"
                                    "region = us-east-1\n[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://x\n")
        s.allow("home/.aws/sso/cache/" + self.name)

    name = hashlib.sha1(b"corp", usedforsecurity=False).hexdigest() + ".json"

    def log_in(self, hours):
        token = self.s.canary("sso-session")
        self.aws.sessions = {token}
        ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
        self.s.write("home/.aws/sso/cache/" + self.name, json.dumps({
            "accessToken": token, "expiresAt": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "region": "us-east-1", "startUrl": "https://x"}))


def test_single_sign_on_that_has_ended_says_what_to_run(s, aws):
    session = SingleSignOn(s, aws)
    agent = start(s, env=session.env)
    assert agent.wait_exit(5) == EX_CONFIG and session.name in agent.stderr and "aws sso login" in agent.stderr, agent.stderr
    session.log_in(hours=-1)
    agent = start(s, env=session.env)
    assert agent.wait_exit(20) == EX_AUTH and "aws sso login" in agent.stderr and "ended at" in agent.stderr, agent.stderr
    assert not aws.count("portal") and not s.tap.logins()


def test_single_sign_on_and_its_next_session(s, aws):
    role(s, token_type="batch", token_ttl="8s")
    session = SingleSignOn(s, aws)
    session.log_in(hours=8)
    aws.life = datetime.timedelta(seconds=30)  # each login needs others
    agent = start(s, env=session.env)
    in_(s, aws)
    aws.sessions.clear()  # signed out
    agent.wait_line("aws sso login", timeout=12)
    session.log_in(hours=8)
    known = len([entry for entry in s.tap.logins() if entry.status == 200])
    wait_for(lambda: len([entry for entry in s.tap.logins() if entry.status == 200]) > known, 12, "a login by the next session")
    assert agent.alive


def test_instance_and_its_region(s, aws):
    aws.sts_region = "eu-west-1"
    configure(s, aws)
    start(s, 'region = "auto"', {"AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.instance.url + "/"})
    in_(s, aws)
    assert [path for name, _, path in aws.asked if name == "instance"][0] == "/latest/api/token"


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"])
def test_region(s, aws, region):
    aws.sts_region = region
    configure(s, aws)
    start(s, f'region = "{region}"', aws.environment(aws.keys()))
    in_(s, aws)


def test_header_value(s, aws):
    configure(s, aws, iam_server_id_header_value="vault.example.com")
    start(s, 'header_value = "vault.example.com"', aws.environment(aws.keys()))
    in_(s, aws)


# --- what changes while it runs

def test_pod_identity_token_that_rotates(s, aws):
    role(s, token_type="batch", token_ttl="6s")
    aws.life = datetime.timedelta(minutes=10)  # fetched again at each login
    first, second = s.canary("pod-one"), s.canary("pod-two")
    aws.pod_tokens = {first}
    s.write("boot/pod-token", first, 0o644)
    start(s, env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.container.url + "/", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": s.path("boot/pod-token")})
    in_(s, aws)
    s.write("boot/pod-token", second, 0o644)
    aws.pod_tokens = {second}
    logins = len(s.tap.entries("auth/aws/login"))
    wait_for(lambda: len(s.tap.entries("auth/aws/login")) > logins + 1, 20, "logins with the new token")
    assert all(entry.status == 200 for entry in s.tap.logins() if entry.answered)


def test_instance_token_that_is_not_taken_any_more(s, aws):
    role(s, token_type="batch", token_ttl="6s")
    aws.life = datetime.timedelta(minutes=10)
    start(s, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.instance.url})
    in_(s, aws)
    aws.instance_tokens.clear()  # the instance was stopped and started
    asked = aws.count("instance", "/latest/api/token")
    wait_for(lambda: aws.count("instance", "/latest/api/token") > asked, 10, "another token")
    assert all(entry.status == 200 for entry in s.tap.logins() if entry.answered)


def test_keys_that_are_replaced_in_the_shared_file(s, aws):
    role(s, token_type="batch", token_ttl="8s")

    def write(keys):
        s.write("boot/credentials", f"[default]\naws_access_key_id={keys['id']}\naws_secret_access_key={keys['secret']}\n"
                                    f"aws_session_token={keys['token']}\n")
    old = aws.keys()
    write(old)
    start(s, env={"AWS_SHARED_CREDENTIALS_FILE": s.path("boot/credentials"), **OFF})
    in_(s, aws)
    del aws.known[old["id"]]
    wait_for(lambda: s.tap.entries("auth/aws/login")[-1].status == 400, 10, "a refusal")
    write(aws.keys())
    wait_for(lambda: s.tap.entries("auth/aws/login")[-1].status == 200, 5, "a login with the new keys")


# --- refusals: what they say, and the exit code

@pytest.mark.parametrize("case, says", [
    ("missing header", "header_value"),
    ("other header", "set it to what the server expects"),
    ("expired", "session has expired"),
    ("region", "sts_region"),
    ("clock behind", "behind AWS"),
    ("clock ahead", "ahead of AWS"),
    ("unknown key", "wrong or deleted"),
    ("wrong secret", "secret key of"),
    ("other principal", "bound_iam_principal_arn"),
    ("no role", "does not exist at auth/aws"),
    ("no mount", "auto_auth.method.mount_path"),
])
def test_refusals(s, aws, case, says):
    keys = aws.keys("stranger" if case == "other principal" else "app-role")
    method, env = "", aws.environment(keys)
    if "header" in case:
        configure(s, aws, iam_server_id_header_value="vault.example.com")
        method = 'header_value = "elsewhere"' if case == "other header" else ""
    elif case == "expired":
        aws.known[keys["id"]] = (keys["secret"], s.canary("another"), "arn")
    elif case == "region":
        method = 'region = "eu-west-1"'
    elif case.startswith("clock"):
        aws.clock = datetime.timedelta(minutes=20 if case == "clock behind" else -20)
    elif case == "unknown key":
        aws.known.clear()
    elif case == "wrong secret":
        env["AWS_SECRET_ACCESS_KEY"] = s.canary("wrong-secret")
    elif case == "no role":
        s.vault.request("DELETE", "auth/aws/role/app")
    elif case == "no mount":
        method = 'mount_path = "aws-elsewhere"'
    agent = start(s, method, env)
    assert agent.wait_exit(30) == EX_AUTH
    assert says in agent.stderr, agent.stderr
    assert 1 <= len(s.tap.logins()) <= 3


def test_a_clock_that_is_ten_minutes_off_logs_in(s, aws):
    aws.clock = datetime.timedelta(minutes=-10)
    start(s, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.instance.url})
    in_(s, aws)


def test_ec2_and_unfinished_configurations(s, aws):
    for method, env, says in (('login_type = "ec2"', {}, "login_type"), ('region = "Europe"', {}, "not a region"),
                              ("", {"AWS_ACCESS_KEY_ID": "AKIA", **OFF}, "AWS_SECRET_ACCESS_KEY is not"), ("", OFF, "none found"),
                              ("", {"AWS_PROFILE": "nobody", **OFF}, "no profile")):
        agent = start(s, method, env)
        assert agent.wait_exit(10) == EX_CONFIG, agent.stderr
        assert says in agent.stderr


# --- outages

def test_sts_away_from_the_server_is_waited_for(s, aws):
    aws.down.add("sts")
    agent = start(s, env=aws.environment(aws.keys()))
    wait_for(lambda: len(s.tap.entries("auth/aws/login")) >= 5, 30, "more tries than a refusal has")
    assert agent.alive and "can't reach AWS STS" in agent.stderr
    aws.down.clear()
    in_(s, aws)


@pytest.mark.parametrize("service, variable", [("instance", "AWS_EC2_METADATA_SERVICE_ENDPOINT"), ("container", "AWS_CONTAINER_CREDENTIALS_FULL_URI")])
def test_metadata_away_at_the_start_is_waited_for(s, aws, service, variable):
    aws.down.add(service)
    agent = start(s, env={variable: getattr(aws, service).url})
    wait_for(lambda: aws.count(service) >= 2, 10, "two tries")
    assert agent.alive and not s.tap.entries("auth/aws/login")
    aws.down.clear()
    in_(s, aws)


def test_metadata_is_asked_straight_and_redirects_are_not_followed(s, aws):
    aws.redirect = aws.sts.url + "/stolen"
    agent = start(s, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.instance.url, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"})
    wait_for(lambda: "redirect" in agent.stderr, 10, "the reason")
    assert aws.count("sts") == 0
    aws.redirect = ""
    in_(s, aws)


@pytest.mark.parametrize("status", [500, 204, 307])
def test_odd_answers_of_a_login(s, aws, status):
    """A server that answers 500, nothing, or a redirect to a stranger: no login goes elsewhere, and the next good answer is taken."""
    stolen = []

    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self):
            stolen.append(self.path)
            self.send_response(200)
            self.end_headers()
        do_PUT = do_POST

        def log_message(self, *args):
            pass
    stranger = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    location = f"http://127.0.0.1:{stranger.server_address[1]}/v1/auth/aws/login"
    s.tap.reply("auth/aws/login", status, b"{}" if status == 500 else b"", headers={"Location": location} if status == 307 else {})
    agent = start(s, env=aws.environment(aws.keys()))
    wait_for(lambda: s.tap.count("auth/aws/login") >= 1, 10, "a login")
    s.tap.clear()
    in_(s, aws)
    stranger.shutdown()
    assert not stolen and agent.alive


# --- the program

def test_the_program_is_not_given_the_keys(s, aws):
    keys = aws.keys()
    text = CONFIG.replace("@method@", "") + '[exec]\ncommand = @app@\n'
    s.run(text, env=aws.environment(keys) | {"AWS_REGION": "eu-west-1"}, app=s.app_toml())
    wait_for(lambda: s.runlog.starts(), 10, "the program")
    names = s.runlog.starts()[0]["env"]
    assert "AWS_SECRET_ACCESS_KEY" not in names and "AWS_SESSION_TOKEN" not in names and "AWS_REGION" in names


def test_check(s, aws):
    config = s.config(CONFIG.replace("@method@", 'region = "eu-west-1"'))
    aws.sts_region = "eu-west-1"
    configure(s, aws)
    checked = s.start("check", "-c", config, env=aws.environment(aws.keys()))
    assert checked.wait_exit(10) == 0
    assert "AWS_SECRET_ACCESS_KEY" in checked.stdout
    online = s.start("check", "--online", "-c", config, env=aws.environment(aws.keys()))
    assert online.wait_exit(20) == 0, online.stderr + online.stdout
