/*
 * A service with HikariCP.  Spring Boot would make the pool of
 * application.properties, and the pages be a controller's.
 *
 * PORT=8000 java -cp ... Main.java application.properties
 */
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.HikariPoolMXBean;
import java.io.FileReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.net.InetSocketAddress;
import java.net.URL;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

public class Main {
    static final String PREFIX = "spring.datasource.";
    static HikariDataSource pool;

    interface Page {
        String answer(String route, String argument) throws Exception;
    }

    /** What Spring Boot does with spring.datasource.*; environment variables go first. */
    static HikariConfig config(String file) throws IOException {
        Properties spring = new Properties();
        HikariConfig config;
        Properties hikari = new Properties();

        try (Reader reader = new FileReader(file, StandardCharsets.UTF_8)) {
            spring.load(reader);
        }
        for (String key : spring.stringPropertyNames()) {
            String value = System.getenv().getOrDefault(key.toUpperCase().replace('.', '_').replace("-", ""),
                spring.getProperty(key));

            key = key.replaceFirst("^" + Pattern.quote(PREFIX), "").replaceFirst("^hikari\\.", "")
                .replaceFirst("^data-source-properties", "dataSource").replaceFirst("^url$", "jdbcUrl");
            hikari.setProperty(Pattern.compile("-(.)").matcher(key).replaceAll(m -> m.group(1).toUpperCase()), value);
        }
        config = new HikariConfig(hikari);
        config.setPoolName("billing");
        return config;
    }

    /** A comment in the form of sqlcommenter: keys of the setting pool_monitor.tags */
    static String tagged(String route, String sql) {
        String value = URLEncoder.encode(route, StandardCharsets.UTF_8).replace("+", "%20");

        return "/*application='shop',route='" + value + "'*/ " + sql;
    }

    static String order(String route, String argument) throws Exception {
        try (Connection connection = pool.getConnection();
             PreparedStatement statement = connection.prepareStatement(tagged(route, "SELECT ?"))) {
            statement.setInt(1, Integer.parseInt(argument));
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                return "{\"id\": " + result.getInt(1) + "}";
            }
        }
    }

    /** What fills pools in practice: it asks another service while it holds a connection, in a transaction. */
    static String pay(String route, String argument) throws Exception {
        try (Connection connection = pool.getConnection()) {
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement(tagged(route, "SELECT ?"))) {
                statement.setInt(1, Integer.parseInt(argument));
                statement.execute();
                callService("payments/" + argument);
                connection.commit();
            } finally {
                connection.rollback();
            }
        }
        return "{\"paid\": " + argument + "}";
    }

    static void callService(String path) throws IOException {
        String service = System.getenv().getOrDefault("SERVICE_URL", "http://localhost:9000");

        try (InputStream answer = new URL(service + "/" + path).openStream()) {
            answer.readAllBytes();
        }
    }

    /** What the pool of this process says itself */
    static String pool(String route, String argument) {
        HikariPoolMXBean counts = pool.getHikariPoolMXBean();

        return "{\"total\": " + counts.getTotalConnections() + ", \"checked_out\": " + counts.getActiveConnections()
            + ", \"capacity\": " + pool.getMaximumPoolSize() + "}";
    }

    static void serve(HttpServer server, String route, Page page) {
        server.createContext(route.replaceFirst("\\{.*", ""), (HttpExchange exchange) -> {
            String path = exchange.getRequestURI().getPath();
            int status = 200;
            byte[] body;

            try {
                body = page.answer(route, path.substring(path.lastIndexOf('/') + 1)).getBytes(StandardCharsets.UTF_8);
            } catch (Exception e) {
                status = 503;
                body = ("{\"error\": \"" + e.getClass().getSimpleName() + "\"}").getBytes(StandardCharsets.UTF_8);
            }
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8000"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);

        pool = new HikariDataSource(config(arguments[0]));
        Runtime.getRuntime().addShutdownHook(new Thread(pool::close));
        serve(server, "/orders/{order}", Main::order);
        serve(server, "/payments/{order}", Main::pay);
        serve(server, "/pool", Main::pool);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }
}
