import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * Runs one Neo4j server: {@code Neo4jServer HOME attached|detached}; prints "READY HOME" when it answers. Its first password
 * is in KURULTAI_NEO4J_PASSWORD.
 * Attached, it ends with its parent (at the end of stdin) and takes its home along.
 */
public final class Neo4jServer {
    public static void main(String[] args) {
        var home = Path.of(args[0]);
        var attached = args[1].equals("attached");
        try {
            var dbms = new DatabaseManagementServiceBuilder(home)
                    .loadPropertiesFromFile(home.resolve("neo4j.conf")).build();
            Runtime.getRuntime().addShutdownHook(new Thread(attached ? () -> delete(home) : dbms::shutdown));
            setFirstPassword(dbms, System.getenv("KURULTAI_NEO4J_PASSWORD"));
            if (!dbms.database("neo4j").isAvailable(60_000)) throw new IllegalStateException("database neo4j is not available");
            System.out.println("READY " + home);
            if (attached) while (System.in.read() >= 0) { }
            else Thread.currentThread().join();
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    /** Only a fresh home asks for a change; setting the same password again is an error. */
    private static void setFirstPassword(DatabaseManagementService dbms, String password) {
        var system = dbms.database("system");
        var fresh = system.executeTransactionally(
                "SHOW USERS YIELD user, passwordChangeRequired WHERE user = 'neo4j' AND passwordChangeRequired",
                Map.of(), rows -> rows.hasNext());
        if (fresh) system.executeTransactionally(
                "ALTER USER neo4j SET PASSWORD $p CHANGE NOT REQUIRED", Map.of("p", password));
    }

    private static void delete(Path home) {
        try (var files = Files.walk(home)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        } catch (IOException e) {
            e.printStackTrace();
        }
    }
}
