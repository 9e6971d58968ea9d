"""What AWS runs, on loopback: STS (which recomputes each signature from the secret keys that it knows), the metadata service of an
instance (version 2) and that of a container, the portal of single sign-on. Credentials are made here and known to STS from then on."""
import datetime
import hashlib
import hmac
import json
import secrets
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCOUNT = "123456789012"
SKEW = 15 * 60  # seconds


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def signature(secret_key, method, path, headers, signed, body, scope):
    """Signature Version 4 as the documentation has it. `scope`: [date, region, service, "aws4_request"]."""
    canonical = "\n".join([method, path, "", *(f"{name}:{' '.join(headers[name].split())}" for name in signed), "", ";".join(signed),
                           hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret_key).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Service:
    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, kind, text = answer(self.command, self.path, headers, body)
                if status is None:
                    self.close_connection = True
                    return
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                if 300 <= status < 400:
                    self.send_header("Location", text)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Aws:
    """s: the scenario, whose canaries the secret parts are."""

    def __init__(self, s):
        self.s = s
        self.known = {}  # access key -> (secret key, session token, arn)
        self.sts_region = "us-east-1"
        self.web_tokens = set()
        self.pod_tokens = set()
        self.sessions = set()  # of single sign-on
        self.instance_tokens = set()
        self.life = datetime.timedelta(hours=6)
        self.down = set()  # of "sts", "instance", "container"
        self.redirect = ""
        self.asked = []  # (service, method, path)
        self.clock = datetime.timedelta(0)  # how far AWS's clock is ahead of ours
        self.sts = Service(self._sts)
        self.instance = Service(self._instance)
        self.container = Service(self._container)
        self.portal = Service(self._portal)

    def close(self):
        for service in (self.sts, self.instance, self.container, self.portal):
            service.close()

    def count(self, service, path=""):
        return sum(1 for name, _, asked in self.asked if name == service and path in asked)

    # --- credentials

    def keys(self, who="app-role", temporary=True, life=None):
        """A set of credentials, as a dictionary of its four parts."""
        id = ("ASIA" if temporary else "AKIA") + secrets.token_hex(8).upper()
        secret, token = self.s.canary("aws-secret"), self.s.canary("aws-session") if temporary else ""
        kind = f"assumed-role/{who}/i-1" if temporary else f"user/{who}"
        self.known[id] = (secret, token, f"arn:aws:sts::{ACCOUNT}:{kind}" if temporary else f"arn:aws:iam::{ACCOUNT}:{kind}")
        return {"id": id, "secret": secret, "token": token, "expires": stamp(now() + (life or self.life))}

    def environment(self, keys):
        return {"AWS_ACCESS_KEY_ID": keys["id"], "AWS_SECRET_ACCESS_KEY": keys["secret"], "AWS_SESSION_TOKEN": keys["token"] or None}

    # --- STS

    def _sts(self, method, path, headers, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        self.asked.append(("sts", method, form.get("Action", path)))
        if "sts" in self.down:
            return None, "", ""
        if form.get("Action") == "AssumeRoleWithWebIdentity":
            if form["WebIdentityToken"] not in self.web_tokens:
                return self._refuse(400, "ExpiredTokenException", "Token expired")
            keys = self.keys(form["RoleArn"].split("/")[-1])
            return 200, "text/xml", (
                f"<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>"
                f"<Credentials><AccessKeyId>{keys['id']}</AccessKeyId><SecretAccessKey>{keys['secret']}</SecretAccessKey>"
                f"<SessionToken>{keys['token']}</SessionToken><Expiration>{keys['expires']}</Expiration></Credentials>"
                f"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
        if body != b"Action=GetCallerIdentity&Version=2011-06-15" or method != "POST":
            return self._refuse(400, "InvalidAction", "what is this")
        fields = dict(part.strip().split("=", 1) for part in headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(","))
        id, *scope = fields["Credential"].split("/")
        signed = fields["SignedHeaders"].split(";")
        if id not in self.known:
            return self._refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        secret, token, arn = self.known[id]
        if scope[1:] != [self.sts_region, "sts", "aws4_request"]:
            return self._refuse(403, "SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{scope[1]}'.")
        made = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        ahead = (made - (now() + self.clock)).total_seconds()
        if ahead < -SKEW:
            return self._refuse(403, "SignatureDoesNotMatch", f"Signature expired: {headers['x-amz-date']} is now earlier than it may be")
        if ahead > SKEW:
            return self._refuse(403, "SignatureDoesNotMatch", f"Signature not yet current: {headers['x-amz-date']} is still later than now")
        if headers.get("x-amz-security-token", "") != token or ("x-amz-security-token" in signed) != bool(token):
            return self._refuse(403, "ExpiredToken", "The security token included in the request is expired")
        if not {"host", "x-amz-date"} <= set(signed) or "content-type" not in headers:
            return self._refuse(403, "IncompleteSignature", "headers are missing")
        if signature(secret, method, "/", headers, signed, body, scope) != fields["Signature"]:
            return self._refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        return 200, "text/xml", (
            f"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>{arn}</Arn>"
            f"<UserId>AROA:i-1</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")

    @staticmethod
    def _refuse(status, code, message):
        return status, "text/xml", (f"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
                                    f"<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>")

    # --- metadata

    @staticmethod
    def _document(keys, **more):
        return json.dumps({"AccessKeyId": keys["id"], "SecretAccessKey": keys["secret"], "Token": keys["token"],
                           "Expiration": keys["expires"], **more})

    def _instance(self, method, path, headers, body):
        self.asked.append(("instance", method, path))
        if "instance" in self.down:
            return None, "", ""
        if self.redirect:
            return 307, "text/plain", self.redirect
        if method == "PUT" and path == "/latest/api/token":
            assert headers["x-aws-ec2-metadata-token-ttl-seconds"]
            token = self.s.canary("imds-token")
            self.instance_tokens.add(token)
            return 200, "text/plain", token
        if headers.get("x-aws-ec2-metadata-token") not in self.instance_tokens:
            return 401, "text/html", "<html>Unauthorized</html>"
        if path == "/latest/meta-data/placement/region":
            return 200, "text/plain", self.sts_region
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "text/plain", "app-role"
        if path == "/latest/meta-data/iam/security-credentials/app-role":
            return 200, "text/plain", self._document(self.keys(), Code="Success", Type="AWS-HMAC")
        return 404, "text/html", "<html>Not Found</html>"

    def _container(self, method, path, headers, body):
        self.asked.append(("container", method, path))
        if "container" in self.down:
            return None, "", ""
        if self.pod_tokens and headers.get("authorization") not in self.pod_tokens:
            return 403, "application/json", json.dumps({"code": "AccessDeniedException", "message": "the token is not valid"})
        return 200, "application/json", self._document(self.keys(), AccountId=ACCOUNT)

    def _portal(self, method, path, headers, body):
        self.asked.append(("portal", method, path))
        if headers.get("x-amz-sso_bearer_token") not in self.sessions:
            return 401, "application/json", json.dumps({"message": "Session token not found or invalid", "__type": "UnauthorizedException"})
        assert path == f"/federation/credentials?role_name=app-role&account_id={ACCOUNT}", path
        keys = self.keys()
        ends = datetime.datetime.strptime(keys["expires"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        return 200, "application/json", json.dumps({"roleCredentials": {
            "accessKeyId": keys["id"], "secretAccessKey": keys["secret"], "sessionToken": keys["token"], "expiration": int(1000 * ends.timestamp())}})
