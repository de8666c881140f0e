import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;

/** Posts an image twice with each version of HTTP, and prints what comes: java Post.java URL FILE. */
public class Post {
    public static void main(String[] arguments) throws Exception {
        for (HttpClient.Version version : HttpClient.Version.values()) {
            HttpClient client = HttpClient.newBuilder().version(version).build();
            for (int i = 0; i < 2; i++) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                        .header("Content-Type", "image/jpeg")
                        .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[1])))
                        .build();
                HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
                System.out.println(response.statusCode() + " " + response.body());
            }
        }
    }
}
