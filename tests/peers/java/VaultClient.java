// What the other clients of tests/peers do, by vault-java-driver (../README.md).
//
//   java -cp vault-java-driver.jar VaultClient.java      environment: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, ROLE_ID, SECRET_ID

import io.github.jopenlibs.vault.Vault;
import io.github.jopenlibs.vault.VaultConfig;
import io.github.jopenlibs.vault.VaultException;
import io.github.jopenlibs.vault.api.Logical;
import io.github.jopenlibs.vault.json.Json;
import io.github.jopenlibs.vault.json.JsonArray;
import io.github.jopenlibs.vault.json.JsonObject;
import io.github.jopenlibs.vault.json.JsonValue;
import io.github.jopenlibs.vault.response.LogicalResponse;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;

public class VaultClient {
  private static final JsonObject steps = new JsonObject();

  interface Step {
    JsonValue run() throws Exception;
  }

  private static void step(String name, Step step) {
    try {
      steps.add(name, step.run());
    } catch (VaultException error) {
      steps.add(name, new JsonObject().add("status", error.getHttpStatusCode()).add("text", error.getMessage()));
    } catch (Exception error) {
      steps.add(name, new JsonObject().add("error", error.toString()));
    }
  }

  private static Vault client(String token, int engine) throws VaultException {
    VaultConfig config = new VaultConfig().address(System.getenv("VAULT_ADDR")).openTimeout(20).readTimeout(20);
    if (token != null) config.token(token);
    String namespace = System.getenv("VAULT_NAMESPACE");
    if (namespace != null && !namespace.isEmpty()) config.nameSpace(namespace);
    return Vault.create(config.build(), engine);
  }

  // This client gives an answer of any status.
  private static JsonObject data(LogicalResponse answer) {
    int status = answer.getRestResponse().getStatus();
    return status == 200 ? object(answer.getData()) : new JsonObject().add("status", status);
  }

  private static JsonObject object(Map<String, String> values) {
    JsonObject out = new JsonObject();
    values.forEach(out::add);
    return out;
  }

  private static JsonArray array(List<String> values) {
    JsonArray out = new JsonArray();
    values.forEach(out::add);
    return out;
  }

  public static void main(String[] args) throws Exception {
    String token = System.getenv("VAULT_TOKEN");
    Vault two = client(token, 2), one = client(token, 1);
    Logical kv2 = two.logical(), raw = one.logical();

    step("kv2_write", () -> Json.value(kv2.write("kv/client/a", Map.of("value", "first")).getRestResponse().getStatus() == 200));
    step("kv2_read", () -> data(kv2.read("kv/client/a")));
    step("kv2_list", () -> array(kv2.list("kv/client").getListData()));
    step("kv2_missing", () -> data(kv2.read("kv/client/none")));
    step("kv2_delete", () -> Json.value(raw.delete("kv/metadata/client/a").getRestResponse().getStatus() == 204));
    step("kv1_write", () -> Json.value(raw.write("kv1/client/b", Map.of("value", "one")).getRestResponse().getStatus() == 204));
    step("kv1_read", () -> data(raw.read("kv1/client/b")));
    step("kv1_list", () -> array(raw.list("kv1/client").getListData()));
    step("kv1_delete", () -> Json.value(raw.delete("kv1/client/b").getRestResponse().getStatus() == 204));
    step("denied", () -> data(raw.read("sys/auth")));
    step("no_mount", () -> data(raw.read("nothing/here")));
    step("wrong_token", () -> data(client("wrong", 2).logical().read("kv/app")));
    step("transit", () -> {
      String plain = Base64.getEncoder().encodeToString("text".getBytes(StandardCharsets.UTF_8));
      String sealed = raw.write("transit/encrypt/k", Map.of("plaintext", plain)).getData().get("ciphertext");
      return Json.value(plain.equals(raw.write("transit/decrypt/k", Map.of("ciphertext", sealed)).getData().get("plaintext")));
    });
    String[] lease = {""};
    step("dynamic", () -> {
      LogicalResponse answer = raw.read("database/creds/readonly");
      lease[0] = answer.getLeaseId();
      return new JsonObject().add("username", answer.getData().get("username")).add("password", answer.getData().get("password"))
          .add("renewable", answer.getRenewable());
    });
    step("lease_renew", () -> Json.value(two.leases().renew(lease[0], 60).getRestResponse().getStatus() == 200));
    step("lease_revoke", () -> Json.value(two.leases().revoke(lease[0]).getRestResponse().getStatus() == 204));
    step("self", () -> {
      var self = two.auth().lookupSelf();
      return new JsonObject().add("id", self.getId() == null ? "" : self.getId())
          .add("accessor", self.getAccessor() != null && !self.getAccessor().isEmpty()).add("path", self.getPath());
    });
    step("renew_self", () -> {
      var auth = two.auth().renewSelf();
      return new JsonObject().add("id", auth.getAuthClientToken() == null ? "" : auth.getAuthClientToken()).add("lasts", auth.getAuthLeaseDuration() > 0);
    });
    step("wrap", () -> {
      String wrapped = two.auth().wrap(new JsonObject().add("value", "wrapped"), 60).getToken();
      return two.auth().unwrap(wrapped).getData();
    });
    step("login", () -> {
      String own = two.auth().loginByAppRole(System.getenv("ROLE_ID"), System.getenv("SECRET_ID")).getAuthClientToken();
      Vault mine = client(own, 2);
      var self = mine.auth().lookupSelf();
      boolean same = own.equals(self.getId()) && !self.getAccessor().isEmpty();
      mine.auth().revokeSelf();
      boolean gone = mine.logical().read("kv/app").getRestResponse().getStatus() == 403;
      return new JsonObject().add("own_id", same).add("gone", gone);
    });
    System.out.println(steps);
  }
}
