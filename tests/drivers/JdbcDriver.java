import java.io.StringReader;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/** What a program with JDBC does. Prints what it saw. */
public final class JdbcDriver {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", arguments[1]);
        properties.setProperty("password", arguments[2]);
        properties.setProperty("sslmode", "disable");
        properties.setProperty("prepareThreshold", "3");
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            types(connection);
            statements(connection);
            largeObject(connection);
            failures(connection);
            copy(connection);
            // Tools ask on a connection of their own.
            try (Connection tool = DriverManager.getConnection(arguments[0], properties)) {
                metadata(tool.getMetaData());
            }
            notifications(connection);
            cancel(connection);
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE jdbc_t");
            }
            System.out.println("product " + connection.getMetaData().getDatabaseProductName());
        }
        // What tools for databases set: texts without parameters, savepoints around each statement.
        for (String[] setting : new String[][] {{"preferQueryMode", "simple"}, {"autosave", "always"},
                {"preferQueryMode", "extendedForPrepared"}, {"preferQueryMode", "extendedCacheEverything"}}) {
            Properties others = new Properties();
            others.putAll(properties);
            others.setProperty(setting[0], setting[1]);
            try (Connection connection = DriverManager.getConnection(arguments[0], others)) {
                System.out.println(setting[0] + " " + setting[1]);
                otherwise(connection);
            }
        }
        System.out.println("done");
    }

    /** What a tool that shows a database asks for. */
    private static void metadata(DatabaseMetaData metadata) throws SQLException {
        try (Statement statement = metadata.getConnection().createStatement()) {
            statement.execute("CREATE TABLE jdbc_child (jdbc_id int REFERENCES jdbc_t, note varchar(7) DEFAULT 'x');"
                    + "CREATE VIEW jdbc_view AS SELECT id FROM jdbc_t; COMMENT ON TABLE jdbc_t IS 'a table'");
        }
        print("schemas", metadata.getSchemas(), "TABLE_SCHEM");
        print("tables", metadata.getTables(null, "public", "jdbc\\_%", new String[] {"TABLE", "VIEW"}),
                "TABLE_NAME", "TABLE_TYPE", "REMARKS");
        print("columns", metadata.getColumns(null, "public", "jdbc\\_%", "%"),
                "TABLE_NAME", "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "NULLABLE", "COLUMN_DEF", "IS_AUTOINCREMENT");
        print("primary keys", metadata.getPrimaryKeys(null, "public", "jdbc_t"), "COLUMN_NAME", "PK_NAME");
        print("indexes", metadata.getIndexInfo(null, "public", "jdbc_t", false, false), "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE");
        print("imported", metadata.getImportedKeys(null, "public", "jdbc_child"), "PKTABLE_NAME", "FKCOLUMN_NAME", "DELETE_RULE");
        print("exported", metadata.getExportedKeys(null, "public", "jdbc_t"), "FKTABLE_NAME", "PKCOLUMN_NAME");
        print("functions", metadata.getFunctions(null, "pg_catalog", "to\\_jsonb"), "FUNCTION_NAME");
        print("procedure columns", metadata.getFunctionColumns(null, "pg_catalog", "to\\_jsonb", "%"), "COLUMN_NAME", "TYPE_NAME");
        print("types", metadata.getTypeInfo(), "TYPE_NAME");
        try (Statement statement = metadata.getConnection().createStatement()) {
            statement.execute("DROP VIEW jdbc_view; DROP TABLE jdbc_child");
        }
    }

    private static void print(String what, ResultSet rows, String... columns) throws SQLException {
        try (rows) {
            while (rows.next()) {
                StringBuilder line = new StringBuilder(what);
                for (String column : columns) {
                    line.append(' ').append(rows.getString(column));
                }
                System.out.println(line);
            }
        }
    }

    private static void largeObject(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        var objects = connection.unwrap(PGConnection.class).getLargeObjectAPI();
        long id = objects.createLO();
        try (var object = objects.open(id)) {
            object.write("0123456789".getBytes());
            object.seek(4);
            System.out.println("large object " + new String(object.read(3)) + " " + object.tell() + " " + object.size());
            object.truncate(5);
        }
        try (var object = objects.open(id)) {
            System.out.println("truncated " + new String(object.read(100)));
        }
        objects.delete(id);
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void otherwise(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int + 1, ?::text")) {
            for (int round = 0; round < 7; round++) {
                statement.setInt(1, round);
                statement.setString(2, "it's \\ é");
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    System.out.println(row.getInt(1) + " " + row.getString(2));
                }
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMP TABLE jdbc_temporary (id int PRIMARY KEY)");
            statement.execute("INSERT INTO jdbc_temporary VALUES (1); INSERT INTO jdbc_temporary VALUES (2)");
            try {
                statement.execute("INSERT INTO jdbc_temporary VALUES (1)");
            } catch (SQLException error) {
                System.out.println("error " + error.getSQLState());
            }
            try (ResultSet row = statement.executeQuery("SELECT count(*) FROM jdbc_temporary")) {
                row.next();
                System.out.println("count " + row.getInt(1));
            } catch (SQLException error) {
                System.out.println("error " + error.getSQLState());
            }
        }
        connection.rollback();
    }

    private static void types(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(
                "SELECT ?::int, ?::bigint, ?::numeric, ?::text, ?::bool, ?::date, ?::bytea")) {
            for (int round = 0; round < 6; round++) {
                statement.setInt(1, round);
                statement.setLong(2, 1L << 40);
                statement.setBigDecimal(3, new java.math.BigDecimal("1.50"));
                statement.setString(4, "é'x");
                statement.setBoolean(5, true);
                statement.setDate(6, java.sql.Date.valueOf("2026-01-02"));
                statement.setBytes(7, new byte[] {0, 1, (byte) 255});
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    System.out.println("types " + row.getInt(1) + " " + row.getLong(2) + " " + row.getBigDecimal(3) + " "
                            + row.getString(4) + " " + row.getBoolean(5) + " " + row.getDate(6) + " "
                            + Arrays.toString(row.getBytes(7)));
                }
            }
        }
        Array array = connection.createArrayOf("text", new String[] {"a", null, "{"});
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::text[]")) {
            statement.setArray(1, array);
            try (ResultSet row = statement.executeQuery()) {
                row.next();
                System.out.println("array " + row.getString(1));
            }
        }
    }

    private static void statements(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE jdbc_t (id serial PRIMARY KEY, name text UNIQUE)");
        }
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO jdbc_t (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 100; i++) {
                insert.setString(1, "n" + i);
                insert.addBatch();
            }
            System.out.println("batch " + insert.executeBatch().length);
            try (ResultSet keys = insert.getGeneratedKeys()) {
                keys.next();
                System.out.println("key " + keys.getInt(1));
            }
        }
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(9);
            int sum = 0;
            try (ResultSet rows = statement.executeQuery("SELECT id FROM jdbc_t ORDER BY id")) {
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
            }
            System.out.println("portal " + sum);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void failures(Connection connection) throws SQLException {
        for (String text : new String[] {"SELECT 1/0", "SELEC", "INSERT INTO jdbc_t (name) VALUES ('n1')"}) {
            try (Statement statement = connection.createStatement()) {
                statement.execute(text);
            } catch (SQLException error) {
                System.out.println("error " + error.getSQLState() + " " + error.getMessage().split("\n")[0]);
            }
        }
    }

    private static void copy(Connection connection) throws Exception {
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        System.out.println("copy in " + copies.copyIn("COPY jdbc_t (name) FROM STDIN", new StringReader("x1\nx2\nx3\n")));
        var out = new java.io.StringWriter();
        copies.copyOut("COPY (SELECT name FROM jdbc_t WHERE name LIKE 'x%' ORDER BY 1) TO STDOUT", out);
        System.out.println("copy out " + out.toString().replace("\n", "|"));
    }

    private static void notifications(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("LISTEN jdbc_channel");
            statement.execute("NOTIFY jdbc_channel, 'hello'");
        }
        PGNotification[] notifications = connection.unwrap(PGConnection.class).getNotifications(10_000);
        System.out.println("notify " + notifications[0].getName() + " " + notifications[0].getParameter());
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.execute("SELECT pg_sleep(60)");
        } catch (SQLException error) {
            System.out.println("cancelled " + error.getSQLState());
        }
        try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery("SELECT 'alive'")) {
            row.next();
            System.out.println(row.getString(1));
        }
    }
}
