/*
 * HikariCP with the JDBC driver, under the commands of trials.py: see there.
 *
 * Hikari APPLICATION [SETTING=VALUE...]
 */
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

public class Hikari {
    static HikariDataSource pool;
    static Connection held;
    static int requests;
    static final Map<String, Integer> errors = new TreeMap<>();

    interface Work {
        void run() throws SQLException;
    }

    static void attempt(Work work) {
        String error = null;

        try {
            work.run();
        } catch (SQLException e) {
            error = e.getSQLState() + " " + e.getMessage().split("\n")[0];
        }
        synchronized (errors) {
            requests++;
            if (error != null)
                errors.merge(error, 1, Integer::sum);
        }
    }

    static void select(Connection connection) throws SQLException {
        connection.createStatement().execute("SELECT 1");
    }

    static void request() throws SQLException {
        try (Connection connection = pool.getConnection()) {
            select(connection);
        }
    }

    static void fill() throws SQLException {
        Connection[] all = new Connection[4];

        for (int i = 0; i < 4; i++) {
            all[i] = pool.getConnection();
            select(all[i]);
        }
        for (Connection connection : all)
            connection.close();
    }

    static void load(double seconds, int gap) throws InterruptedException {
        long end = System.nanoTime() + (long) (seconds * 1e9);
        Thread[] workers = new Thread[4];

        for (int i = 0; i < 4; i++) {
            workers[i] = new Thread(() -> {
                try {
                    while (System.nanoTime() < end) {
                        attempt(Hikari::request);
                        Thread.sleep((long) (gap * (0.8 + 0.4 * Math.random())));
                    }
                } catch (InterruptedException e) {
                    throw new RuntimeException(e);
                }
            });
            workers[i].start();
        }
        for (Thread worker : workers)
            worker.join();
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    static void answer() {
        StringBuilder json = new StringBuilder();

        errors.forEach((error, count) ->
            json.append(json.length() > 0 ? ", " : "").append(quoted(error)).append(": ").append(count));
        System.out.println("{\"requests\": " + requests + ", \"errors\": {" + json + "}}");
        requests = 0;
        errors.clear();
    }

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));

        for (int i = 1; i < arguments.length; i++) {
            String[] parts = arguments[i].split("=");
            settings.setProperty(parts[0], parts[1]);
        }
        HikariConfig config = new HikariConfig(settings);
        config.setJdbcUrl("jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/postgres");
        config.setUsername("application");
        config.addDataSourceProperty("ApplicationName", arguments[0]);
        config.setMaximumPoolSize(4);
        pool = new HikariDataSource(config);

        for (String line; (line = commands.readLine()) != null; answer()) {
            String[] words = line.split(" ");

            switch (words[0]) {
                case "fill":
                    attempt(Hikari::fill);
                    break;
                case "request":
                    for (int i = 0; i < Integer.parseInt(words[1]); i++)
                        attempt(Hikari::request);
                    break;
                case "load":
                    load(Double.parseDouble(words[1]), Integer.parseInt(words[2]));
                    break;
                case "begin":
                    attempt(() -> {
                        held = pool.getConnection();
                        held.setAutoCommit(false);
                        select(held);
                    });
                    break;
                case "hold":
                    attempt(() -> {
                        held = pool.getConnection();
                        select(held);
                    });
                    break;
                case "use":
                    attempt(() -> select(held));
                    held.close();
                    break;
            }
        }
        System.exit(0);
    }
}
