# `make install` puts both modules where the servers look, and nothing else; they bring no symbols of their libraries.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Find;
use File::Temp qw(tempdir);
use Test::More;

my $folder = tempdir(CLEANUP => 1);
my $out = `make --no-print-directory install DESTDIR=$folder 2>&1`;
is($?, 0, 'make install') or diag $out;
my @files;
find({ wanted => sub { push @files, substr($_, length $folder) if -f }, no_chdir => 1 }, $folder);
chomp(my $apache = `apxs -q LIBEXECDIR`);
is_deeply([ sort @files ], [ sort '/usr/lib/nginx/modules/ngx_http_heartbeat_module.so', "$apache/mod_http_heartbeat.so" ], 'two files');

for my $file (@files) {
    my @exported = map { /^\S+ [A-Z] (\S+)/ ? $1 : () } `nm -D --defined-only $folder$file`;
    my @foreign = grep { !/^(ngx_http_heartbeat_module|ngx_modules|ngx_module_names|ngx_module_order|http_heartbeat_module)$/ } @exported;
    is_deeply(\@foreign, [], "$file exports only its module");
    # libjwt exists as a shared library only, and brings the other two: the packages that docs/operations.md names.
    my @needed = map { /\(NEEDED\).*\[([^\]]+)\]/ ? $1 : () } `readelf -d $folder$file`;
    my @unnamed = grep { !/^(ld-linux[-\w]*|libc|libm|libpthread|libjwt|libjansson|libcrypto)\.so\.\d+$/ } @needed;
    is_deeply(\@unnamed, [], 'and needs nothing but the C library and what verifies tokens');
    unlike(`ldd $folder$file`, qr/not found|stdc\+\+|hiredis|sodium/, 'and all of that is here');
}
done_testing;
